//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// Programs whose C code handles the manhole's signals; see ./chandlers.

// cBuilds builds ./chandlers once in a build mode: as a program, or as a library with the C
// program in testdata.
var cBuilds = map[string]func() (string, error){
	"exe":       sync.OnceValues(func() (string, error) { return buildC("exe") }),
	"c-archive": sync.OnceValues(func() (string, error) { return buildC("c-archive", "-Wl,--no-as-needed", "-lpthread") }),
	"c-shared":  sync.OnceValues(func() (string, error) { return buildC("c-shared") }),
}

func buildC(mode string, flags ...string) (string, error) {
	dir := filepath.Dir(server)
	program := filepath.Join(dir, "chandlers-"+mode)
	output := program
	if mode != "exe" {
		output += ".so"
	}
	if _, err := runGo([]string{"CGO_ENABLED=1"}, "build", "-buildmode="+mode, "-o", output, "./chandlers"); err != nil || mode == "exe" {
		return program, err
	}
	args := append([]string{"-o", program, "chandlers/testdata/host.c", output}, flags...)
	out, err := exec.Command("gcc", args...).CombinedOutput()
	if err != nil {
		_, _ = os.Stderr.Write(out)
	}
	return program, err
}

// startC starts ./chandlers, which takes the steps first.
func startC(t *testing.T, mode string, steps ...string) stepProgram {
	t.Helper()
	program, err := cBuilds[mode]()
	require.NoError(t, err)
	return startStepCommand(t, exec.Command(program, steps...))
}

// needC skips a test that cannot build C code.
func needC(t *testing.T) {
	t.Helper()
	if why := whyNoC(t); why != "" {
		t.Skip(why)
	}
}

// whyNoC returns why C code cannot be built, or "" if it can.
func whyNoC(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		return "needs gcc; install it with apt-get install gcc"
	}
	out, err := testwait.Command(t, "go", "env", "CGO_ENABLED").Output()
	require.NoError(t, err)
	if strings.TrimSpace(string(out)) != "1" {
		return "needs cgo; set CGO_ENABLED=1"
	}
	return ""
}

// cSteps are ways in which C code meets the manhole's handler. Each ends with a program that
// has SIGTERM handled in the given number of C handlers and then by Go.
var cSteps = []struct {
	steps   string
	handler int // the number of C handlers
}{
	{"install", 0},
	{"come TERM, install", 1},
	{"install, come TERM", 1},
	{"install, come TERM, install", 1}, // the trap must not take the C handler for the runtime's
	{"install, come TERM, install, install", 1},
	{"install, come TERM, uninstall, install", 1},
	{"install, come TERM, go TERM, install", 0},
	{"install, come TERM, install, go TERM", 0},
	{"come TERM, install, go TERM, install", 0},
	{"install, keep TERM, install, back TERM", 0}, // as system(3) does it with SIGINT
	{"install, keep TERM, back TERM, install", 0},
	{"install, keep TERM, uninstall, back TERM, install", 0},
	{"install, copy TERM WINCH", 0},
}

// TestCHandlers requires that SIGTERM does what it would do without a manhole, whatever C
// code has done with the handlers: in a Go program and in a C program, with and without an
// open window, which leaves no socket.
func TestCHandlers(t *testing.T) {
	needC(t)
	for _, mode := range []string{"exe", "c-archive", "c-shared"} {
		t.Run(mode, func(t *testing.T) {
			for _, test := range cSteps {
				for _, ph := range []phase{closed, open} {
					steps := strings.Split(test.steps, ", ")
					t.Run(test.steps+", nobody handles it, "+string(ph), func(t *testing.T) {
						t.Parallel()
						p := startC(t, mode, steps...)
						p.enter(t, ph)
						if mode != "exe" && test.handler > 0 && ph == closed {
							// Go as a library handles nothing, and the C handler has no previous one.
							p.signal(t, syscall.SIGTERM)
							p.reports(t, "the C handler", 1)
							return
						}
						if mode != "exe" && strings.Contains(test.steps, "copy") {
							return // the default action was copied
						}
						p.signal(t, syscall.SIGWINCH)
						p.signal(t, syscall.SIGTERM)
						if mode != "exe" && test.handler > 0 {
							p.reports(t, "the C handler", 1)
							eventually(t, func() bool { _, err := os.Lstat(p.path); return os.IsNotExist(err) }, "the socket stays: %s", p.stderr)
							return
						}
						p.requireDead(t, diedOfTERM)
					})
					t.Run(test.steps+", Go handles it, "+string(ph), func(t *testing.T) {
						t.Parallel()
						p := startC(t, mode, append([]string{"notify TERM"}, steps...)...)
						p.enter(t, ph)
						p.signal(t, syscall.SIGWINCH)
						p.signal(t, syscall.SIGTERM)
						p.reports(t, "got terminated", 1)
						eventually(t, func() bool { _, err := os.Lstat(p.path); return os.IsNotExist(err) }, "the socket stays: %s", p.stderr)
						require.Equal(t, test.handler, strings.Count(p.stderr.String(), "the C handler"), "%s", p.stderr)
						p.goesOn(t, closed, nil)
					})
				}
			}
		})
	}
}

// TestSystemDuringAReinstall requires that Uninstall leaves the handler as it was before
// Install. system(3) puts SIGINT's handler back while another manhole is installed.
func TestSystemDuringAReinstall(t *testing.T) {
	needC(t)
	p := startC(t, "exe", "notify INT", "install", "keep INT", "install", "back INT", "uninstall")
	p.signal(t, syscall.SIGINT)
	p.reports(t, "got interrupt", 1)
}

// TestACHandlerComesDuringAWindow requires that a handler of a C program, which was
// installed while the manhole was subscribed to the signal, stays after the window.
func TestACHandlerComesDuringAWindow(t *testing.T) {
	needC(t)
	for _, mode := range []string{"exe", "c-archive"} {
		t.Run(mode, func(t *testing.T) {
			p := startC(t, mode, "install")
			p.open(t)
			p.take(t, "end TERM")
			require.Contains(t, p.answers(t, p.path), "collected in")
			p.signal(t, syscall.SIGTERM)
			p.requireDead(t, syscall.WaitStatus(7<<8))
		})
	}
}
