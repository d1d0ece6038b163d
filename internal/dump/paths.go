package dump

import (
	"runtime/debug"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// paths makes the paths of source files short: relative to the program's module, to
// GOROOT/src, or to the module cache. A nil *paths leaves them as they are.
type paths struct {
	module string // the path of the main module; empty if not known
	main   string // the import path of package main
}

func newPaths(info *debug.BuildInfo) *paths {
	if info == nil {
		return &paths{}
	}
	return &paths{module: info.Main.Path, main: info.Path}
}

// short returns the path of the file in which a function is. If it does not know what
// the path is relative to, it returns the path as it is.
func (p *paths) short(function, file string) string {
	if p == nil {
		return file
	}
	name := base(file)
	dir := strings.TrimSuffix(file, name)
	if rel, own := p.inModule(stack.Frame{Function: function}.Package()); own {
		if rest, ok := strings.CutPrefix(file, p.module+"/"); ok { // built with -trimpath
			return rest
		}
		if rel == "" || strings.HasSuffix(dir, "/"+rel) {
			return rel + name
		}
		return file
	}
	for _, root := range []string{"/pkg/mod/", "/vendor/", "/src/"} {
		i := strings.LastIndex(file, root)
		switch {
		case i < 0:
		case root == "/vendor/":
			return file[i+1:]
		case root == "/pkg/mod/" || standard(function):
			return file[i+len(root):]
		}
	}
	return file
}

// inModule reports whether a package belongs to the main module. It returns the
// directory of the package in the module, with a slash at the end.
func (p *paths) inModule(pkg string) (dir string, own bool) {
	if pkg == "main" {
		pkg = p.main
	}
	pkg = strings.TrimSuffix(strings.ReplaceAll(pkg, "%2e", "."), "_test")
	rest, own := strings.CutPrefix(pkg, p.module)
	switch {
	case !own || p.module == "":
		return "", false
	case rest == "":
		return "", true
	}
	return rest[1:] + "/", rest[0] == '/'
}

// standard reports whether a function is of the standard library: the first element of
// the import path has no dot.
func standard(function string) bool {
	pkg := stack.Frame{Function: function}.Package()
	first, _, _ := strings.Cut(pkg, "/")
	return first != "main" && !strings.Contains(first, ".")
}

// place is a place in the code, in a line of text.
type place struct {
	before   string // the text before the function
	function string
	file     string
	after    string // begins with a colon and the number of the line
}

// cutPlace finds the place in a line of a finding: FUNCTION, two spaces, FILE:LINE.
func cutPlace(line string) (p place, ok bool) {
	i := strings.LastIndex(line, "  ")
	if i < 0 {
		return p, false
	}
	p.before, p.file = line[:i], line[i+2:]
	at := strings.LastIndexByte(p.before, ' ') + 1
	p.before, p.function = p.before[:at], p.before[at:]
	for i := 1; i < len(p.file)-1; i++ {
		if p.file[i] == ':' && p.file[i+1] >= '0' && p.file[i+1] <= '9' {
			p.file, p.after = p.file[:i], p.file[i:]
			return p, p.function != ""
		}
	}
	return p, false
}

// lineNumber returns the colon and the number at the beginning of what comes after the
// path of a file.
func lineNumber(after string) string {
	rest := strings.TrimLeft(after[1:], "0123456789")
	return after[:len(after)-len(rest)]
}

func (p place) String() string { return p.before + p.function + "  " + p.file + p.after }

// fit returns the place in one line of at most screenWidth characters. It leaves out the
// path of the package, then the directory, and at last the end.
func (p place) fit() string {
	if length(p.String()) > screenWidth {
		p.function = base(p.function)
	}
	if length(p.String()) > screenWidth {
		p.file = base(p.file)
	}
	return clip(p.String(), screenWidth)
}

// lines returns the place in lines of at most screenWidth characters. The directory stays,
// and if there is no room for it, the path is in a line of its own.
func (p place) lines() []string {
	if length(p.String()) > screenWidth {
		p.function = base(p.function)
	}
	if length(p.String()) <= screenWidth {
		return []string{p.String()}
	}
	indent := len(p.before) - len(strings.TrimLeft(p.before, " ")) + 4
	path := strings.Repeat(" ", indent) + p.file + p.after
	if length(path) > screenWidth {
		path = strings.Repeat(" ", indent) + base(p.file) + p.after
	}
	return append(wrap(p.before+p.function, indent), clip(path, screenWidth))
}

// base returns what follows the last slash.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
