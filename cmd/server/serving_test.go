package main

import (
	"strings"
	"sync"
)

// serving is a log that ends the server as soon as it says that it serves.
type serving struct {
	cancel func()

	mu   sync.Mutex
	text strings.Builder
}

func (s *serving) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(string(p), `"msg":"serving"`) {
		s.cancel()
	}
	return s.text.Write(p)
}

func (s *serving) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
