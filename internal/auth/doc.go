// Package auth signs people in at Microsoft Entra ID, keeps their sessions and token caches, and hands out their
// delegated Graph tokens.
//
// A sign-in goes Begin -> Microsoft -> Finish. Begin seals what the callback must match (state, nonce, PKCE verifier,
// return path) into a cookie of the browser; Finish takes it out again, redeems the code, checks the ID token and makes
// a session. A session is a row that only opens with the key in the browser's cookie together with a seal key of the
// server.
//
// Invariants:
//   - Nothing is written, and nobody but the browser's own cookie is believed, before the state of a callback verifies.
//   - Each use of MSAL has a client and a cache of its own: two people never share one.
//   - A token is handed out only if it is delegated and names the person it is for.
//   - Neither database, nor cookie, nor seal key is enough alone to read a session; a row that was moved or altered
//     does not open. A token that is sealed for a run opens for that run, plan, operator and tenant only.
//   - Errors and logs hold no token, code, cookie, secret, and no body of an answer.
//   - Sign-in and token requests go to the login host of the configured cloud and to no other.
package auth
