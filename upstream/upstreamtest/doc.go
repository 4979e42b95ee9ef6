// Package upstreamtest is a fake authentik that speaks real HTTP.
//
// It serves authorization_codes, access_tokens and refresh_tokens below
// /api/v3/oauth2/ and the providers at /api/v3/providers/oauth2/, single rows and
// lists, and the two health pages. It answers as the chosen release of authentik
// was recorded to: same status, same headers, same keys in the same order. The recordings lie in testdata and are replayed
// against the fake by its tests.
//
// The package backs both the demo mode of the shipped program and the tests of
// the project, so it imports neither package testing nor anything of the
// project, and keeps its memory bounded.
//
// # World
//
// The people and groups are fixed, see the User and Token constants. There are
// three providers, see the Provider constants; [Authentik.AddProvider] adds more.
// Rows are added by the caller with [Authentik.AddCode] and [Authentik.AddToken]. [Demo] adds codes and tokens by itself and lets them live
// and die as they do in authentik.
//
// # What is left out
//
// Sessions, cookies, used_by, throttling, translation, changes of providers, most
// filters of their list, and the descriptions of OPTIONS. Providers were recorded
// in 2026.5 alone; other releases are played with its rules of who may read them.
// Releases 2023.10, 2024.8 and 2026.5 were recorded without authentik's router
// in front and so are played without it.
//
// Some releases were not recorded at all. The fields of 2024.12 follow its OpenAPI
// document, its behaviour is that of 2024.8 behind the router of 2025.8. 2025.12.5
// and 2026.2.3 are 2025.12.4 and 2026.2.2 with the provider of 2026.5 in a grant.
// 2026.8 is 2026.5 with what its source says of client secrets; its server's own
// answers are faults, see [NotReady503].
package upstreamtest
