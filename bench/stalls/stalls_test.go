//go:build linux

// Package stalls measures whether the first screen names what real programs wait for, with
// the libraries that they use:
//
//	cd bench/stalls && go test -v .
//
// It is a module of its own: the libraries are many, and the versions that they ask for
// would change those of the peers in bench.
package stalls

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
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	building = 20 * time.Minute // for building the program, with many libraries
	starting = 2 * time.Minute  // for a program until it is stuck
	entering = time.Minute      // for a look at it
	naming   = 20 * time.Second // until the finding is there: the calls may need a while to get stuck

	// mayMiss is how many stalls may have no finding that names them.
	mayMiss = 2
)

// TestFirstFindingNamesTheFault starts a program for each fault, and looks at it.
func TestFirstFindingNamesTheFault(t *testing.T) {
	binary := build(t)
	t.Run("stalls", func(t *testing.T) { stalls(t, binary) })
	t.Run("descriptors", func(t *testing.T) { descriptors(t, binary) })
}

// stalls looks at programs that are stuck in the call of a library.
func stalls(t *testing.T, binary string) {
	list, err := exec.CommandContext(t.Context(), binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(list)), "\n")
	missed := make(chan string, len(all))
	t.Run("each", func(t *testing.T) {
		for _, line := range all {
			words := strings.Split(line, "\t")
			t.Run(words[0], func(t *testing.T) {
				t.Parallel()
				p := start(t, binary, words[0])
				finding, screen, ok := p.awaitFinding(t, words[1], words[2])
				if !ok {
					missed <- fmt.Sprintf("%s: the first finding does not say %q and %q:\n%s", words[0], words[1], words[2], screen)
				}
				t.Log(finding)
			})
		}
	})
	close(missed)
	n := 0
	for text := range missed {
		n++
		t.Log(text)
	}
	t.Logf("%d of %d stalls are named in the first finding", len(all)-n, len(all))
	if n > mayMiss {
		t.Errorf("%d stalls are not named, and at most %d may be", n, mayMiss)
	}
}

// descriptors looks at a program that has used up its descriptors: the first finding says
// who has opened what is open.
func descriptors(t *testing.T, binary string) {
	p := start(t, binary, "bodies")
	wants := []string{"file descriptors are open", "lead to 127.0.0.1:", "belong to HTTP responses that nobody reads or closes", "main.warm "}
	if _, screen, ok := p.awaitFinding(t, wants...); !ok {
		t.Errorf("the first finding does not say all of %q:\n%s", wants, screen)
	}
}

// awaitFinding looks at the program until the first finding contains the texts, or for the
// time naming. It returns the finding and the screen of the last look.
func (p *program) awaitFinding(t *testing.T, texts ...string) (finding, screen string, ok bool) {
	t.Helper()
	for end := time.Now().Add(naming); ; time.Sleep(200 * time.Millisecond) {
		screen = p.look(t)
		finding, ok = first(screen), true
		for _, text := range texts {
			ok = ok && strings.Contains(finding, text)
		}
		if ok || time.Now().After(end) {
			return finding, screen, ok
		}
	}
}

// build builds the program.
func build(t *testing.T) (binary string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), building)
	defer cancel()
	binary = filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./program").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return binary
}

// program is a running program.
type program struct{ cmd *exec.Cmd }

// start starts the program and waits until it is stuck. The program ends with the test.
func start(t *testing.T, binary, name string) *program {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("its standard error:\n%s", stderr.String())
		}
	})
	late := time.AfterFunc(starting, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			return &program{cmd}
		}
	}
	_ = cmd.Wait()
	t.Fatalf("%s has ended, or was not stuck within %v:\n%s", name, starting, stderr.String())
	return nil
}

// look enters the program and returns its first screen.
func (p *program) look(t *testing.T) string {
	t.Helper()
	end := time.Now().Add(entering)
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	for path := fmt.Sprintf("/tmp/manhole-%d", p.cmd.Process.Pid); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			if time.Now().After(end) {
				t.Fatalf("the program could not be entered within %v: %v", entering, err)
			}
			continue
		}
		defer conn.Close()
		if err := errors.Join(conn.SetDeadline(end), conn.(*net.UnixConn).CloseWrite()); err != nil {
			t.Fatal(err)
		}
		screen, err := io.ReadAll(conn) // it ends, because the program has seen the end of the commands
		if err != nil {
			t.Fatalf("waiting for the first screen: %v\n%s", err, screen)
		}
		return string(screen)
	}
}

// first returns the first finding of a screen in one line.
func first(screen string) string {
	_, list, _ := strings.Cut(screen, "\n1. ")
	for _, end := range []string{"\n2. ", "\nTo see more", "\nand ", "\n\n"} {
		list, _, _ = strings.Cut(list, end)
	}
	return strings.Join(strings.Fields(list), " ")
}

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("go"); err != nil {
		fmt.Println("skipped: the tests build a program, and there is no go command in PATH")
		return
	}
	os.Exit(m.Run())
}
