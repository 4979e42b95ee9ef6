// Composes subgraphs into the supergraph that Hive Gateway reads:
//   node compose.mjs name=url... > supergraph.graphql
import { composeServices } from '@theguild/federation-composition'
import { parse } from 'graphql'

/** ask gets a subgraph's schema from it; its error is one line. */
async function ask(entry) {
  const at = entry.indexOf('=')
  const [name, url] = [entry.slice(0, at), entry.slice(at + 1)]
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ _service { sdl } }' }),
    })
    const { data, errors } = await response.json()
    if (errors) throw new Error(errors[0].message)
    return { name, url, typeDefs: parse(data._service.sdl) }
  } catch (error) {
    // The message is only "fetch failed"; the reason is in the cause.
    throw new Error(`${name} at ${url}: ${error.cause?.message || error.cause?.code || error.message}`)
  }
}

function fail(messages) {
  for (const message of messages) console.error(message)
  process.exit(1)
}

const asked = await Promise.allSettled(process.argv.slice(2).map(ask))
const unknown = asked.filter(({ reason }) => reason)
if (unknown.length) fail(unknown.map(({ reason }) => reason.message))
const { errors, supergraphSdl } = composeServices(asked.map(({ value }) => value))
if (errors?.length) fail(errors.map(({ message }) => message))
process.stdout.write(supergraphSdl)
