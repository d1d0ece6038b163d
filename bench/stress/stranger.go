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

// Two users, which need not exist. Some of the programs under stress belong to the
// first one. The second one is a stranger to all programs.
const (
	owner    = 12345
	stranger = 12346
)

// strangerMain is main in a client of another user. It prints what it received.
func strangerMain(path string) {
	conn, err := net.DialTimeout("unix", path, patience)
	switch {
	case errors.Is(err, fs.ErrPermission):
		fmt.Println("denied")
		return
	case err != nil: // another client was first, and the window is closed
		fmt.Println("nothing there:", err)
		return
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "stacks\n")
	_, _ = io.Copy(os.Stdout, conn)
}

// trespass starts a client of another user. Sometimes the mode of the socket keeps
// the client out, and sometimes the mode was changed.
func (p *process) trespass(r *rand.Rand) {
	if os.Geteuid() != 0 {
		return
	}
	p.note("a client of another user")
	p.open(r)
	pause(r, 2*time.Millisecond)
	if !p.kind.abstract && r.IntN(2) == 0 {
		_ = os.Chmod(p.path, 0o666) // there may be no socket
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
		p.fail(wrongAnswer, "another user received %.500q", said)
	}
}
