package findings

import "strings"

// Code distinguishes the program's own code from libraries.
type Code struct {
	Main string                // the path of the main module; empty if not known
	Deps map[string]bool       // the paths of its dependencies
	Not  func(pkg string) bool // reports whether a package belongs to the manhole; may be nil
}

// The ranks of packages.
const (
	rankStandard = iota // the standard library and the manhole
	rankModule          // other modules
	rankProgram         // the program's own packages
)

func (c Code) rank(pkg string) int {
	switch {
	case c.Not != nil && c.Not(pkg):
		return rankStandard
	case pkg == "main":
		return rankProgram
	case c.Main != "" && (pkg == c.Main || strings.HasPrefix(pkg, c.Main+"/")):
		return rankProgram
	}
	for path := pkg; path != ""; { // check this before the dot: a module may have no dot in its name
		if c.Deps[path] {
			return rankModule
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
	first, _, _ := strings.Cut(pkg, "/")
	switch {
	case !strings.Contains(first, "."):
		return rankStandard // only in the standard library the first element has no dot
	case c.Main == "":
		return rankProgram
	}
	return rankModule
}
