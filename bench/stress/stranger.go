//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// Two users that need not exist: one whose programs are stressed as well, and
// one who is a stranger to all of them.
const (
	owner    = 12345
	stranger = 12346
)

// strangerMain is main in a client of another user: it says what it was told.
func strangerMain(path string) {
	conn, err := net.DialTimeout("unix", path, patience)
	switch {
	case errors.Is(err, fs.ErrPermission):
		fmt.Println("denied")
		return
	case err != nil: // it was somebody else's turn, and the window is closed
		fmt.Println("nothing there:", err)
		return
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "stacks\n")
	_, _ = io.Copy(os.Stdout, conn)
}

// trespass has another user try to enter, where the mode of the socket keeps
// him out and where somebody has changed it.
func (p *process) trespass(r *rand.Rand) {
	if os.Geteuid() != 0 {
		return
	}
	p.note("a client of another user")
	p.open(r)
	pause(r, 2*time.Millisecond)
	if !p.kind.abstract && r.IntN(2) == 0 {
		_ = os.Chmod(p.path, 0o666) // it may not be there
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.run.binary, "stranger", p.path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL,
		Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	out, err := cmd.CombinedOutput()
	said := string(out)
	switch {
	case err != nil:
		p.fail(noEnd, "the client of another user: %v, %s", err, out)
	case strings.HasPrefix(said, "denied"), strings.HasPrefix(said, fmt.Sprintf(protocol.Refused+"uid %d ", stranger)):
		p.tally.add("denied to another uid", 1)
	case strings.HasPrefix(said, "nothing there"), strings.HasPrefix(said, protocol.TooLate), said == "" && p.isExcused():
	default:
		p.fail(wrongAnswer, "another user was told %.500q", said)
	}
}
