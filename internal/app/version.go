package app

import "runtime/debug"

// version is set by the linker in released builds: -X evict/internal/app.version=1.2.3.
var version string

// Version names the program: the release, or the commit that it was built from, or "dev".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "dev"
}
