//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

const module = "github.com/gomanhole/oneshot"

// docs/architecture.md describes the layout of the code. Programs import the root, so
// it stays small. The packages that it uses do not import it.
func TestTheRulesOfTheLayout(t *testing.T) {
	list := testwait.Command(t, "go", "list", "-json=ImportPath,Imports,Deps,GoFiles,SFiles", "./...")
	list.Dir = ".."
	out, err := list.Output()
	require.NoError(t, err)
	internal := 0
	for packages := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath      string
			Imports, Deps   []string
			GoFiles, SFiles []string
		}
		err := packages.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if strings.HasPrefix(p.ImportPath, module+"/internal/") {
			internal++
			require.NotContains(t, p.Deps, module, "%s imports the root; pass in what it needs", p.ImportPath)
		}
		if p.ImportPath == module {
			require.Empty(t, p.SFiles, "assembly belongs into a package of its own")
			for _, dep := range p.Deps {
				first, _, _ := strings.Cut(dep, "/")
				outside := strings.Contains(first, ".") && !strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, "golang.org/x/sys/")
				require.False(t, outside, "programs that import the package would depend on %s", dep)
			}
		}
	}
	require.Greater(t, internal, 10, "the packages were found")

	files, err := filepath.Glob("../*.go")
	require.NoError(t, err)
	count, lines := 0, 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		count++
		lines += strings.Count(string(text), "\n")
	}
	require.LessOrEqual(t, count, 24, "Go files in the root that are no tests")
	require.Less(t, lines, 4000, "lines of them")
	entries, err := os.ReadDir("..")
	require.NoError(t, err)
	visible := 0
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") && entry.Name() != "oneshot" { // the client, where somebody has built it
			visible++
		}
	}
	require.LessOrEqual(t, visible, 60, "entries of the root directory")
}
