//go:build linux

// Package integration tests real programs with the clients that people use: nc,
// socat, a terminal, another user. The programs are in the folders beside it and in
// examples.
package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

const patience = testwait.Patience

// goTime is how long a go command may take. It is enough for an empty cache and one
// busy CPU.
const goTime = 4 * time.Minute

// server is the binary of examples/server. Every user may run it.
var server string

// plain builds a package once, as its users would build it: without the flags of this
// test, such as -race. Every user may run the binary that it returns. All binaries but
// cgoprogram are static, so that they run where there is no C library.
func plain(t *testing.T, pkg string) string {
	t.Helper()
	built, _ := binaries.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		file := filepath.Join(filepath.Dir(server), strings.ReplaceAll(filepath.Clean(pkg), "/", "-"))
		if pkg == "./cgoprogram" {
			return file, build(file, pkg)
		}
		return file, build(file, pkg, "CGO_ENABLED=0")
	}))
	file, err := built.(func() (string, error))()
	require.NoError(t, err)
	return file
}

// binaries maps a package to the function that builds it once.
var binaries sync.Map

// build builds a package, with env added to the environment.
func build(file, pkg string, env ...string) error {
	_, err := runGo(env, "build", "-o", file, pkg)
	return err
}

// runGo runs a go command and returns its output. The command does not end with a test,
// because several tests may wait for it.
func runGo(env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), goTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = testwait.OutputTime
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, errors.Join(err, ctx.Err()), out) // ctx.Err says whether it took too long
	}
	return string(out), err
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	testwait.HeedHangup()
	dir, err := os.MkdirTemp("", "oneshot")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	server = filepath.Join(dir, "server")
	if err := build(server, "../examples/server"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func eventually(t *testing.T, f func() bool, what string, args ...any) {
	t.Helper()
	testwait.Eventually(t, f, what, args...)
}

// need skips a test if a program is not installed.
func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s; install it with apt-get install %s", program, debianPackage)
	}
}

// needRoot skips a test that does not run as root.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start programs as other users; try sudo -E go test ./integration")
	}
	need(t, "setpriv", "util-linux")
}

// as returns the command that runs argv as another user.
func as(uid int, argv ...string) []string {
	id := strconv.Itoa(uid)
	return append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--"}, argv...)
}
