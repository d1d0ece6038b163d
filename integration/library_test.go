//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// builtLibrary builds examples/cshared once, in the folder mnt beside server.
var builtLibrary = sync.OnceValue(func() error { return buildLibrary(filepath.Join(filepath.Dir(server), "mnt")) })

// buildLibrary builds examples/cshared in a folder, with the commands in its comment.
func buildLibrary(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile("../examples/cshared/main.go")
	if err != nil {
		return err
	}
	commands := regexp.MustCompile(`(?m)^//\t((?:go build|gcc) .*)$`).FindAllSubmatch(text, -1)
	if len(commands) != 2 {
		return fmt.Errorf("the comment has %d commands, not 2", len(commands))
	}
	// The commands are for the root of the module, and write where they are.
	script := "set -e; cd " + dir
	for _, command := range commands {
		line := strings.ReplaceAll(string(command[1]), "./examples", module+"/examples")
		line = strings.ReplaceAll(line, " examples/", " $ROOT/examples/")
		script += "\n" + strings.Replace(line, "go build", "go build -C $ROOT", 1)
	}
	script = strings.ReplaceAll(script, "-o libcounter.so", "-o "+dir+"/libcounter.so")
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	return runShell(root, "ROOT="+root+"; export CGO_ENABLED=1; "+script)
}

// runShell runs a script that builds programs.
func runShell(dir, script string) error {
	ctx, cancel := context.WithTimeout(context.Background(), goTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir, cmd.WaitDelay = dir, testwait.OutputTime
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", script, errors.Join(err, ctx.Err()), out)
	}
	return nil
}

// TestALibraryInACProgram builds examples/cshared. oneshot ps lists the C program, the
// client enters it, and says why it does not read it from outside.
func TestALibraryInACProgram(t *testing.T) {
	t.Parallel()
	needC(t)
	require.NoError(t, builtLibrary())
	dir := shortDir(t)
	for _, name := range []string{"counter", "libcounter.so"} {
		require.NoError(t, os.Link(filepath.Join(filepath.Dir(server), "mnt", name), filepath.Join(dir, name)))
	}
	c := start(t, exec.Command(dir+"/counter"), "ready")
	pid := strconv.Itoa(c.Process.Pid)
	list := func() string {
		out, _, _ := oneshotAs(t, []string{"env"}, "ps")
		return regexp.MustCompile(`(?m)^` + pid + ` .*$`).FindString(out)
	}
	name := "libcounter.so"
	if numbersDiffer(t, dir) {
		name = "a library"
		require.Regexp(t, `\(a library in counter\) +SIGUSR2 oneshot +`+c.path+` *$`, list())
	} else {
		require.Regexp(t, `go1\.\S+ +`+module+` \S+ \(libcounter\.so in counter\) +SIGUSR2 oneshot +`+c.path+` *$`, list())
	}

	out, errs, status := oneshotAs(t, []string{"env"}, pid, "stacks")
	require.Zero(t, status, errs)
	require.Contains(t, out, "created by main.CounterStart  examples/cshared/main.go:")
	out, errs, status = oneshotAs(t, []string{"env"}, pid, "print", "counter")
	require.Zero(t, status, errs)
	require.Regexp(t, `^int64\(\d+\)\n$`, out)
	c.leftNothing(t)

	_, errs, status = oneshotAs(t, []string{"env"}, "-outside", pid)
	require.Equal(t, 1, status)
	require.Contains(t, errs, "process "+pid+" (counter) is a program in another language with a library in Go, "+name+", and cannot be read from outside; "+
		"its manhole shows it: oneshot "+pid)
	out, errs, status = oneshotAs(t, []string{"env"}, "signals", pid)
	require.Zero(t, status, errs)
	require.Contains(t, out, "SIGUSR2(12)")

	// The file is gone, as after an update of the package. The notice is still there.
	require.NoError(t, os.Remove(dir+"/libcounter.so"))
	require.Regexp(t, ` \? +\(a library in counter\) +SIGUSR2 oneshot `, list())
	out, errs, status = oneshotAs(t, []string{"env"}, pid, "mem")
	require.Zero(t, status, errs)
	require.Contains(t, out, "heap in use")
}

// numbersDiffer reports whether the files in a folder may have other numbers in
// /proc/PID/maps than for stat(2).
func numbersDiffer(t *testing.T, dir string) bool {
	t.Helper()
	var st unix.Statfs_t
	require.NoError(t, unix.Statfs(dir, &st))
	magic := uint32(st.Type) // an int32 on some systems
	return magic == unix.BTRFS_SUPER_MAGIC || magic == unix.OVERLAYFS_SUPER_MAGIC
}
