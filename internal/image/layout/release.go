package layout

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnknown is the error for a release or architecture without a table.
var ErrUnknown = errors.New("no table of the runtime's structs")

// Line returns the line of releases that a version of Go belongs to, for example
// go1.26 for "go1.26.8", "go1.26rc1", "go1.26.8 X:nodwarf5" and "go1.26.8-vendor".
// It returns "" for development versions and betas, whose structs may still change.
func Line(version string) string {
	line, _ := split(version)
	return line
}

// split returns the line of releases and the number of the patch release.
func split(version string) (line string, patch int) {
	rest, ok := strings.CutPrefix(version, "go1.")
	if !ok {
		return "", 0
	}
	minor, after := digits(rest)
	if minor == "" || strings.HasPrefix(after, "-devel") {
		return "", 0
	}
	switch {
	case after == "" || strings.HasPrefix(after, "rc") || strings.ContainsAny(after[:1], " -+"):
	case after[0] == '.':
		number, _ := digits(after[1:])
		n, err := strconv.Atoi(number)
		if err != nil {
			return "", 0
		}
		patch = n
	default:
		return "", 0
	}
	return "go1." + minor, patch
}

// digits returns the digits that s begins with, at most three, and the rest.
func digits(s string) (number, rest string) {
	n := 0
	for n < min(len(s), 3) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// For returns the table for a version of Go, as debug/buildinfo gives it, and an
// architecture. The error wraps ErrUnknown and names what is unknown.
func For(version, arch string) (*Layout, error) {
	line, patch := split(version)
	var found *Layout
	for _, l := range all() {
		if l.Release == line && int(l.Patch) <= patch {
			found = l // a later table of the same line replaces it
		}
	}
	if found == nil || !knownArch(arch) {
		return nil, unknown(version, arch)
	}
	return found, nil
}

func knownArch(arch string) bool { return arch == "amd64" || arch == "arm64" }

func unknown(version, arch string) error {
	return fmt.Errorf("%w for %s on %s; known are %s on amd64 and arm64", ErrUnknown, version, arch, known)
}
