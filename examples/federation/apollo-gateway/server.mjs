// Apollo Gateway over the subgraphs in SUBGRAPHS, composed at start from their _service.
import { ApolloGateway, IntrospectAndCompose, RemoteGraphQLDataSource } from '@apollo/gateway'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'

const subgraphs = (process.env.SUBGRAPHS ??
  'authentik=http://127.0.0.1:8080/graphql inventory=http://127.0.0.1:4001/graphql'
).split(' ').map((entry) => {
  const at = entry.indexOf('=')
  return { name: entry.slice(0, at), url: entry.slice(at + 1) }
})

// The gateway forwards no headers by default. Without the caller's token every code is UNAUTHENTICATED.
class ForwardAuthorization extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    if (context.authorization) request.http.headers.set('authorization', context.authorization)
  }
}

const server = new ApolloServer({
  gateway: new ApolloGateway({
    supergraphSdl: new IntrospectAndCompose({ subgraphs }),
    buildService: ({ url }) => new ForwardAuthorization({ url }),
  }),
  includeStacktraceInErrorResponses: false,
})
const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: Number(process.env.PORT ?? 4000) },
  context: async ({ req }) => ({ authorization: req.headers.authorization }),
})
console.log(`listening on ${url}`)
