//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// build builds the program with a release of Go. It returns its path and its kernels.
func build(ctx context.Context, dir, release string, held bool) (string, []kernel, error) {
	env := append(os.Environ(), "GOTOOLCHAIN="+release, "GOWORK=off", "CGO_ENABLED=0")
	command := func(args ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, "go", args...)
		c.Dir, c.Env = dir, env
		out, err := c.Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("go %s with %s: %w\n%s%s", strings.Join(args, " "), release, err, out, exit.Stderr)
		}
		return out, err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return "", nil, err
	}
	for _, name := range []string{"go.mod", "go.sum"} { // the versions of this module are those of the program
		text, err := os.ReadFile(name)
		if err != nil {
			return "", nil, fmt.Errorf("it has to run in the folder bench: %w", err)
		}
		text = []byte(strings.ReplaceAll(string(text), "=> ../", "=> "+root))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", nil, err
		}
	}
	goroot, err := command("env", "GOROOT")
	if err != nil {
		return "", nil, err
	}
	kernels, err := copyKernels(strings.TrimSpace(string(goroot)), dir, held)
	if err != nil {
		return "", nil, err
	}
	binary := filepath.Join(dir, "program")
	_, err = command("build", "-o", binary, ".")
	return binary, kernels, err
}

// program is a running program with a kernel in it.
type program struct {
	kernel kernel
	cmd    *exec.Cmd
	stdin  io.Closer
	stuck  int // the number of goroutines that are stuck
}

// starting is how long a program may take until its kernel is stuck.
const starting = 3 * time.Minute

// start starts a program and waits until its kernel is stuck.
func start(ctx context.Context, binary string, k kernel, instances, around int) (*program, error) {
	p := &program{kernel: k}
	p.cmd = exec.CommandContext(ctx, binary, k.name, strconv.Itoa(instances), strconv.Itoa(around))
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(starting, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); { // kernels print too
		if _, err := fmt.Sscanf(lines.Text(), "ready %d", &p.stuck); err == nil {
			go func() { _, _ = io.Copy(io.Discard, out) }() // it ends with the program
			return p, nil
		}
	}
	p.end()
	return nil, fmt.Errorf("%s was not ready within %v", k.name, starting)
}

func (p *program) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// entering is how long a client tries to enter, and waits for the first screen.
const entering = time.Minute

// look enters the program and returns its first screen, and how long that took.
func (p *program) look() (string, time.Duration, error) {
	began := time.Now()
	path := fmt.Sprintf("/tmp/manhole-%d", p.cmd.Process.Pid)
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		return "", 0, err
	}
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			defer conn.Close()
			screen, err := readScreen(conn, began.Add(entering))
			return screen, time.Since(began), err
		}
		if time.Since(began) > entering {
			return "", 0, fmt.Errorf("%s could not be entered within %v: %w", p.kernel.name, entering, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// readScreen reads until the prompt.
func readScreen(conn net.Conn, deadline time.Time) (string, error) {
	if err := conn.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	var screen strings.Builder
	buf := make([]byte, 64<<10)
	for !strings.HasSuffix(screen.String(), protocol.Prompt) {
		n, err := conn.Read(buf)
		screen.Write(buf[:n])
		if err != nil {
			return "", fmt.Errorf("waiting for the prompt: %w", err)
		}
	}
	return screen.String(), nil
}

var numbered = regexp.MustCompile(`^\d+\. `)

// judge reports whether a finding of the screen names the kernel's file, and returns the
// findings that do not.
func judge(screen, file string) (named bool, others []string) {
	_, list, _ := strings.Cut(screen, "\n"+protocol.FindingsHeading+"\n")
	list, _, _ = strings.Cut(list, "\n\n")
	list, _, _ = strings.Cut(list, "\nTo see more: ")
	var finding []string
	count := func() {
		switch text := strings.Join(finding, "\n"); {
		case text == "":
		case file != "" && strings.Contains(text, "/"+file+":") || strings.Contains(text, " "+file+":"): // in a folder, or in the root of the module
			named = true
		default:
			others = append(others, text)
		}
		finding = nil
	}
	for line := range strings.Lines(list) {
		if numbered.MatchString(line) {
			count()
		}
		finding = append(finding, strings.TrimRight(line, "\n"))
	}
	count()
	return named, others
}
