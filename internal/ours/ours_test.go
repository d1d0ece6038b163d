package ours

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestAGoroutineIsKnownByItsStack(t *testing.T) {
	functions := make(chan []string)
	Go(func() {
		pcs := make([]uintptr, 20)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
		var names []string
		for {
			f, more := frames.Next()
			if names = append(names, f.Function); !more {
				break
			}
		}
		functions <- names
	})
	known := 0
	for _, name := range testwait.Receive(t, functions, "the stack of a goroutine") {
		if Is(name) {
			known++
		}
	}
	require.Equal(t, 1, known)
	require.False(t, Is("github.com/gomanhole/oneshot/internal/ours.Go"), "the caller of Go")
	require.False(t, Is("main.main.func1"))
}

// TestEveryGoroutineOfTheManholeIsStartedHere reads the root package and all packages of
// this module that it imports.
func TestEveryGoroutineOfTheManholeIsStartedHere(t *testing.T) {
	shown := map[string]bool{
		"cred.go": true, // the program's Authorize: if it blocks, that should be seen
	}
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	files := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && name != "internal" && !strings.HasPrefix(name, "internal/"), name == "internal/testwait", d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case d.IsDir(), filepath.Ext(path) != ".go", strings.HasSuffix(path, "_test.go"), name == "internal/ours/ours.go", shown[name]:
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a go statement; use ours.Go, or a dump shows the goroutine as the program's", set.Position(n.Pos()))
			case *ast.CallExpr: // sync.WaitGroup.Go and the like
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Go" {
					if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "ours" {
						t.Errorf("%s: a method Go starts a goroutine; use ours.Go, or a dump shows it as the program's", set.Position(n.Pos()))
					}
				}
			}
			return true
		})
		return nil
	}))
	require.Greater(t, files, 50, "the files were found")
}
