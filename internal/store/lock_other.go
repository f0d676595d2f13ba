//go:build !unix || solaris || illumos || aix

package store

import "errors"

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

// lockFile refuses: without a lock that dies with its process, two processes could share one SQLite file.
func lockFile(string) (unlock func() error, err error) {
	return nil, errors.New("SQLite is not supported on this system: set a PostgreSQL address")
}
