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

// The format of tracebacks depends on the go line of the main module's go.mod. A dump
// must have all goroutines, their labels and marks, in every format.
func TestTracebackFormats(t *testing.T) {
	program := asMainModule(t, "release")
	for _, env := range [][]string{
		nil,
		{"GODEBUG=tracebackancestors=5"},
		{"GODEBUG=tracebacklabels=1,tracebackancestors=5"},
		{"GODEBUG=tracebacklabels=0"},
	} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			cmd := testwait.Command(t, program)
			cmd.Env = append(os.Environ(), env...)
			c := start(t, cmd, "ready")
			var out, first, rest string
			// Whether the collector has proved the leak, or the search for what nothing reaches
			// has found it, depends on the release and on the load. An old word on a stack may
			// lead to one of the goroutines. Once main waits too, nothing can run again.
			stands := regexp.MustCompile(`60 in chan send at main\.quote|\d\. (60 goroutines, \d+% of all, wait in chan send at one place|proved: 60 goroutines can never continue|suspected: [56]\d goroutines can never continue)`)
			testwait.ThreeLooks(t, func() (bool, float64) { // the leak may not stand out while the CPUs are busy
				share := testwait.CPUOf(c.Process.Pid)
				out = c.session(t, "leaks\ncount\nprofile\nstacks -state leaked\nexit\n")
				first, rest, _ = strings.Cut(out, ">>> ")
				return stands.MatchString(first), share()
			}, "the leak does not stand out: %s", lazily(&first))

			counts := regexp.MustCompile(`\n(\d+) goroutines in \d+ groups by identical stacks, (\d+) of the manhole left out:\n[\s\S]*NumGoroutine is (\d+)\n`)
			eventually(t, func() bool { // one of the manhole's may end between the two
				all := counts.FindStringSubmatch(rest)
				require.NotNil(t, all, out)
				number := func(i int) int { n, _ := strconv.Atoi(all[i]); return n }
				equal := number(3) == number(1)+number(2)
				if !equal {
					out = c.session(t, "leaks\ncount\nprofile\nstacks -state leaked\nexit\n")
					_, rest, _ = strings.Cut(out, ">>> ")
				}
				return equal
			}, "the counts of goroutines differ: %s", lazily(&rest))
			require.NotContains(t, out, "could not be read")

			require.Regexp(t, `\n20 \(\d+%\) chan receive( \{"request":"GET /[01]\?a=\[b\]: \\"c\\"", "tenant":"acme"\} 10 times){2}\n    goroutines [\d ]+and 12 more\n    main.handle  `, rest)
			require.Regexp(t, `\n23 \(\d+%\) chan receive\n    goroutines [\d ]+and 15 more\n    main.idle  .*\n    created by main.main  `, rest)
			if pprof.Lookup("goroutineleak") != nil {
				require.Regexp(t, `^this stops the program for about \S+ for \d+ goroutines, and collects \S+ \S+ of heap twice\nthe longest stop was \S+; the collections took \S+ of CPU time\n\n60 goroutines \(of \d+\) in 1 group`, rest)
				require.Regexp(t, `\n60 \(\d+%\) chan send \(leaked\)\n    goroutines [\d ]+and 52 more\n    main.quote.func1  .*\n    created by main.quote  `, rest)
				// The runtime counts main too while it is in select {} (findings/goroutineleak-main-in-select.sh).
				require.Regexp(t, `\ngoroutineleak +6[01]  goroutines that nothing can wake any more; `, rest)
				require.Regexp(t, `\n60 goroutines \(of \d+\) in 1 group `, rest)
			} else {
				require.Regexp(t, `\n60 \(\d+%\) chan send\n    goroutines [\d ]+and 52 more\n    main.quote.func1  .*\n    created by main.quote  `, rest)
				require.NotContains(t, first, "proved")
				require.Contains(t, rest, "leaks: this program was built with "+runtime.Version()+", which cannot prove leaks; Go 1.27 can")
				require.Regexp(t, `\n0 goroutines \(of \d+\) in 0 groups `, rest)
			}
		})
	}
}
