package auth

// ReturnPath lets the fuzz test see where a sign-in would return to.
func (s *Service) ReturnPath(raw string) string { return s.returnPath(raw) }
