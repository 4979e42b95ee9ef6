import { defineConfig } from '@graphql-hive/gateway'
import { unifiedGraphHandler } from '@graphql-hive/router-runtime'

export const gatewayConfig = defineConfig({
  supergraph: process.env.SUPERGRAPH ?? './supergraph.graphql',
  host: '127.0.0.1',
  port: Number(process.env.PORT ?? 4000),
  // The gateway forwards no headers by default. Without the caller's token every code is UNAUTHENTICATED.
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => ({ authorization: request.headers.get('authorization') }),
  },
  // Hive Router's planner. The default one omits list indexes from an error's path.
  unifiedGraphHandler,
})
