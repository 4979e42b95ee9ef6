// Composes subgraphs into the supergraph that Hive Gateway reads:
//   node compose.mjs name=url... > supergraph.graphql
import { composeServices } from '@theguild/federation-composition'
import { parse } from 'graphql'

const services = await Promise.all(process.argv.slice(2).map(async (entry) => {
  const at = entry.indexOf('=')
  const [name, url] = [entry.slice(0, at), entry.slice(at + 1)]
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ _service { sdl } }' }),
  })
  const { data, errors } = await response.json()
  if (errors) throw new Error(`${name}: ${errors[0].message}`)
  return { name, url, typeDefs: parse(data._service.sdl) }
}))
const { errors, supergraphSdl } = composeServices(services)
if (errors?.length) {
  for (const error of errors) console.error(error.message)
  process.exit(1)
}
process.stdout.write(supergraphSdl)
