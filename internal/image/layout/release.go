package layout

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown is the error for a release or architecture without a table.
var ErrUnknown = errors.New("no table of the runtime's structs")

// Line returns the line of releases that a version of Go belongs to, for example
// go1.26 for "go1.26.8", "go1.26rc1", "go1.26.8 X:nodwarf5" and "go1.26.8-vendor".
// It returns "" for development versions and betas, whose structs may still change.
func Line(version string) string {
	rest, ok := strings.CutPrefix(version, "go1.")
	if !ok {
		return ""
	}
	n := 0
	for n < len(rest) && n < 4 && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	minor, after := rest[:n], rest[n:]
	if minor == "" || strings.HasPrefix(after, "beta") || strings.HasPrefix(after, "-devel") {
		return ""
	}
	if after != "" && !strings.ContainsAny(after[:1], ".r -+") {
		return ""
	}
	return "go1." + minor
}

// For returns the table for a version of Go, as debug/buildinfo gives it, and an
// architecture. The error wraps ErrUnknown and names what is unknown.
func For(version, arch string) (*Layout, error) {
	line := Line(version)
	for _, l := range all() {
		if l.Release == line && knownArch(arch) {
			return l, nil
		}
	}
	return nil, unknown(version, arch)
}

func knownArch(arch string) bool { return arch == "amd64" || arch == "arm64" }

func unknown(version, arch string) error {
	return fmt.Errorf("%w for %s on %s; known are %s on amd64 and arm64", ErrUnknown, version, arch, known)
}
