// Package entrasim is a simulator of Microsoft Entra sign-in and of the part of Microsoft Graph v1.0 that an incident
// responder needs. It speaks real HTTP and HTTPS over sockets, so that unmodified clients (MSAL, the Graph SDK, a
// browser) can be run against it, for tests, for demonstrations and for rehearsals. Nothing in it is real: there are no
// passwords, and no request ever leaves the process.
//
// A tenant is made from a seed: the same seed and number of people give the same tenant, ids included. A revocation
// really revokes: refresh tokens, codes and browser sessions issued before it die with AADSTS50173, and Graph
// challenges tokens of clients that declared the capability cp1.
//
// Two listeners: plain HTTP for browsers (the sign-in page, the simulator's own pages, the victim's app, and CONNECT
// to the names under which Microsoft serves) and TLS for API clients (token, keys, Graph). The certificate is signed by
// a CA that is made at start, lives in memory only and is served at /_sim/ca.pem.
//
// To point an unmodified client at a simulator that runs as a process (cmd/entrasim), give it
// HTTPS_PROXY=http://localhost:8081 and the CA file; login.microsoftonline.com and graph.microsoft.com are then the
// simulator, and no other host can be reached through it.
//
// What goes wrong is told by Inject and Options.Faults: each fault with the requests that it concerns, how often, from
// when on, and with which share, of which the seed decides. What took effect, and what was only asked for, is counted for
// each account (Tally, Totals, and as JSON at /_sim/counters), so that a test knows it by construction.
//
// A tenant of 250,000 people is made in about half a second. No request about one person looks at the others; those that
// must, such as a $filter without an index, let changes through on their way.
//
// Invariants: stamps have whole seconds on Graph's clock; an account that signs in elsewhere answers 200 to a
// revocation and is not changed; every role decision is made from the roles held at the call, never from the token.
//
// Where Microsoft does not document a behaviour, the comment beside the code says which choice was made.
package entrasim
