// A subgraph that refers to codes, tokens and providers, and adds fields to providers and users.
import { readFile } from 'node:fs/promises'
import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { buildSubgraphSchema } from '@apollo/subgraph'
import { parse } from 'graphql'

const typeDefs = parse(await readFile(new URL('schema.graphql', import.meta.url), 'utf8'))
const byId = (ids) => ids.map((id) => ({ id }))
const resolvers = {
  Query: {
    seenCodes: (_, { ids }) => byId(ids),
    leakedTokens: (_, { access, refresh }) => ({ access: byId(access), refresh: byId(refresh) }),
    catalogue: (_, { ids }) => byId(ids),
  },
  OAuth2Provider: { owner: ({ id }) => `team ${id}` },
  User: { department: ({ id }) => `department ${id}` },
}
const server = new ApolloServer({ schema: buildSubgraphSchema({ typeDefs, resolvers }) })
const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: Number(process.env.PORT ?? 4001) },
})
console.log(`listening on ${url}`)
