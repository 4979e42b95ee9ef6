// Reads a list of compositions, each a list of subgraphs, from stdin, and writes their results.
import { text } from 'node:stream/consumers'
import { composeServices } from '@apollo/composition'
import { parse } from 'graphql'

const compositions = JSON.parse(await text(process.stdin))
const results = compositions.map((subgraphs) => {
  const { errors, hints, supergraphSdl } = composeServices(subgraphs.map(({ name, sdl }) => ({
    name,
    url: `http://${name}.example.com`,
    typeDefs: parse(sdl),
  })))
  return {
    errors: (errors ?? []).map((e) => `${e.extensions?.code}: ${e.message}`),
    hints: (hints ?? []).map((h) => `${h.definition.code}: ${h.message}`),
    supergraph: supergraphSdl ?? '',
  }
})
process.stdout.write(JSON.stringify(results))
