//go:build unix && !solaris && !illumos && !aix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errLocked says that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

// lockFile takes a lock that the system gives up by itself when the process dies.
func lockFile(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(errLocked, f.Close())
	case err != nil:
		return nil, errors.Join(err, f.Close())
	}
	return func() error { // given up by name: a process that is just being started holds the file, too, until it runs
		return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
	}, nil
}
