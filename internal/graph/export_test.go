package graph

// ClaimsOf lets tests feed header values that no HTTP server would send.
var ClaimsOf = claimsOf
