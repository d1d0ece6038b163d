//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// asMainModule builds a package as the main package of a module of its own. The go line of
// its go.mod names the release of Go that runs the test.
func asMainModule(t *testing.T, pkg string) string {
	t.Helper()
	minor := regexp.MustCompile(`^go1\.\d+`).FindString(runtime.Version())
	require.NotEmpty(t, minor, "%s is not a release", runtime.Version())
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	for from, to := range map[string]string{filepath.Join(pkg, "main.go"): "main.go", "../go.sum": "go.sum"} {
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, to), text, 0o600))
	}
	text, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	sys := regexp.MustCompile(`golang.org/x/sys v\S+`).FindString(string(text))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), fmt.Appendf(nil,
		"module example.com/service\n\ngo %s\n\nrequire (\n\tgithub.com/gomanhole/oneshot v0.0.0\n\t%s // indirect\n)\n\nreplace github.com/gomanhole/oneshot => %s\n",
		strings.TrimPrefix(minor, "go"), sys, root), 0o600))
	build := testwait.Command(t, "go", "build", "-o", "program", ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return filepath.Join(dir, "program")
}

// TestModuleWithTheGoLineOfThisRelease is about the format of tracebacks, which depends on
// the go line of the main module's go.mod. A dump must have all goroutines, their labels
// and marks, in every format.
func TestModuleWithTheGoLineOfThisRelease(t *testing.T) {
	program := asMainModule(t, "release")
	for _, env := range [][]string{
		nil,
		{"RELEASE_LEAK_PROFILE=1"},
		{"GODEBUG=tracebackancestors=5"},
		{"GODEBUG=tracebacklabels=1,tracebackancestors=5", "RELEASE_LEAK_PROFILE=1"},
		{"GODEBUG=tracebacklabels=0"},
	} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			cmd := testwait.Command(t, program)
			cmd.Env = append(os.Environ(), env...)
			c := start(t, cmd, "ready")
			var out, first, rest string
			stands := regexp.MustCompile(`\d\. 60 goroutines, \d+% of all, wait in chan send at one place`)
			for try := 0; try < 3 && !stands.MatchString(first); try++ { // the leak may not stand out while the CPUs are busy
				out = c.session(t, "count\nprofile\nstacks -state leaked\nexit\n")
				first, rest, _ = strings.Cut(out, ">>> ")
			}
			require.Regexp(t, stands, first, "the leak stands out")

			all := regexp.MustCompile(`\n(\d+) goroutines in \d+ groups by identical stacks, (\d+) of the manhole left out:\n[\s\S]*NumGoroutine is (\d+)\n`).FindStringSubmatch(rest)
			require.NotNil(t, all, out)
			number := func(i int) int { n, _ := strconv.Atoi(all[i]); return n }
			require.Equal(t, number(3), number(1)+number(2), rest)
			require.NotContains(t, out, "could not be read")

			require.Regexp(t, `\n20 \(\d+%\) chan receive( \{"request":"GET /[01]\?a=\[b\]: \\"c\\"", "tenant":"acme"\} 10 times){2}\n    goroutines [\d ]+and 12 more\n    main.handle  `, rest)
			require.Regexp(t, `\n23 \(\d+%\) chan receive\n    goroutines [\d ]+and 15 more\n    main.idle  .*\n    created by main.main  `, rest)
			proved := pprof.Lookup("goroutineleak") != nil && len(env) > 0 && env[len(env)-1] == "RELEASE_LEAK_PROFILE=1"
			if proved {
				require.Regexp(t, `\n60 \(\d+%\) chan send \(leaked\)\n    goroutines [\d ]+and 52 more\n    main.quote.func1  .*\n    created by main.quote  `, rest)
				require.Contains(t, first, "the garbage collector has proved that nothing can wake them\n")
				require.Regexp(t, `\ngoroutineleak +60  goroutines that nothing can wake any more; `, rest)
				require.Regexp(t, `\n60 goroutines \(of \d+\) in 1 group `, rest)
			} else {
				require.Regexp(t, `\n60 \(\d+%\) chan send\n    goroutines [\d ]+and 52 more\n    main.quote.func1  .*\n    created by main.quote  `, rest)
				require.NotContains(t, first, "proved")
				require.Regexp(t, `\n0 goroutines \(of \d+\) in 0 groups `, rest)
			}
			if pprof.Lookup("goroutineleak") != nil && !proved {
				require.Regexp(t, `\ngoroutineleak {12}goroutines that nothing can wake any more; `, rest, "an unknown number is not shown as 0")
			}
		})
	}
}
