package oneshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Exec is manhole's connection_handler="exec". It reads lines and runs them as
// commands, without banner, dump or prompt. The output of commands is sent
// unchanged. An error is sent as one line. The session ends with the command exit
// or at the end of the input.
type Exec struct{}

func (Exec) forPeople() bool { return false }

// Serve implements Handler.
func (Exec) Serve(ctx context.Context, s *Session) error {
	s, release := s.until(ctx)
	defer release()
	for {
		line, err := s.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
			err = s.Run(line)
		case !errors.Is(err, ErrLineTooLong):
			return err
		}
		switch {
		case errors.Is(err, errExit):
			return nil
		case err != nil:
			fmt.Fprintln(s, oneLine(err))
		}
	}
}

// oneLine returns the text of an error without line ends.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(plaintext.Error(err), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// The exit statuses of a script's command.
const (
	statusOK          = 0
	statusFailed      = 1
	statusNoCommand   = 2   // the command does not exist, or no command was sent
	statusInterrupted = 130 // what a shell reports for SIGINT
)

// framesFor reports whether the client is a script, and how it wants its answer. Such a
// client says so by the name of its own socket.
func framesFor(client int) (wishes protocol.Wishes, script bool) {
	return protocol.ParseName(strings.TrimPrefix(path.Base(unixsock.PeerName(client)), "@"))
}

// script serves a client that sends one command line, or more if it wishes. Each answer is
// sent in frames. It has neither banner nor prompt, and may be binary.
type script struct{}

func (script) Serve(ctx context.Context, s *Session) error {
	s.out.Frame(protocol.Output, "") // tells the client that it is being served
	var stops vitals.AllStops
	if s.wishes.Cost {
		stops.Since()
	}
	for {
		var ran atomic.Bool
		answered := false
		// The command's goroutine reads its line and ends its answer, so that the client
		// need not wait for another one, and for the thread of this one.
		view := &Session{core: s.core, ctx: s.ctx, out: s.out, finish: func() {
			answered = true
			s.setStop(nil)
			s.lineEnded()
			s.answered.Store(!s.wishes.More)
			s.finishAnswer(&stops, nil)
		}}
		err := view.doNext(func(view *Session) (*Command, []string, error) {
			more, cmd, args, err := view.nextCommand()
			ran.Store(more)
			return cmd, args, err
		})
		s.logLine() // of a line without a command
		s.setRunning("")
		if !answered {
			s.lineEnded() // before the client can send an interrupt for its next line
			s.finishAnswer(&stops, err)
		}
		if !ran.Load() || errors.Is(err, errExit) || !s.wishes.More {
			return s.Flush()
		}
	}
}

// finishAnswer sends what the client wants to know besides the output of its command.
func (s *Session) finishAnswer(stops *vitals.AllStops, err error) {
	if s.wishes.Cost {
		s.out.Frame(protocol.Cost, protocol.FormatCost(stops.Since()))
	}
	s.endAnswer(err)
	_ = s.Flush() // the session notices if the client has gone
}

// endAnswer sends the end of the answer to one line.
func (s *Session) endAnswer(err error) {
	status := statusOK
	switch {
	case errors.Is(err, errExit):
		err = nil
	case errors.Is(err, errNoCommand{}):
		status = statusNoCommand
	case errors.Is(err, errInterrupted):
		status = statusInterrupted
	case err != nil:
		status = statusFailed
	}
	if err != nil {
		s.out.Frame(protocol.Error, err.Error()+"\n")
	}
	s.out.Frame(protocol.End, strconv.Itoa(status))
}

// nextCommand reads the next line of a script. ran is false if nothing can follow it.
func (s *Session) nextCommand() (ran bool, cmd *Command, args []string, err error) {
	line, err := s.nextLine()
	s.mu.Lock()
	interrupted := s.stopped && !s.busy
	s.mu.Unlock()
	switch {
	case interrupted:
		return false, nil, nil, errInterrupted
	case errors.Is(err, io.EOF), err == nil && strings.TrimSpace(line) == "":
		return false, nil, nil, errNoCommand{""}
	case err != nil:
		return false, nil, nil, err
	}
	if _, ok := s.host.opts.Handler.(commandHandler); !ok {
		return false, nil, nil, errors.New(protocol.OwnHandler)
	}
	ours.Go(s.logLine) // meanwhile the command begins
	s.setRunning(plaintext.Line(line))
	cmd, args, err = s.parse(line)
	return true, cmd, args, err
}

// RunCommand runs one line as the console does, and writes the output to w, byte for byte:
// a profile is binary. It needs no client and no window, and is for a front end of the
// program, such as package oneshothttp: whoever calls it decides who may use it. It counts
// as a session of the manhole m and is logged as one. If m is nil, there are only the
// built-in commands, and the log is slog.Default.
//
// remarks is what the command says besides its output, such as a warning. When ctx ends,
// the command is stopped, and RunCommand returns. The error is ctx's, that of w, or has
// the text of the command's error. If the environment forbids the manhole
// (ONESHOT=off), the error is ErrNotInstalled.
func RunCommand(ctx context.Context, m *Manhole, line string, w io.Writer) (remarks string, err error) {
	var h *host
	switch {
	case forbidden():
		return "", fmt.Errorf("the environment forbids it (%s=%s): %w", envName, envOff, ErrNotInstalled)
	case m == nil:
		h = alone()
	case m.isUninstalled():
		return "", ErrNotInstalled
	default:
		h = &m.host
	}
	if strings.ContainsFunc(line, unicode.IsControl) || len(line) >= clientio.MaxLine {
		return "", errors.New("a command is one line, without control characters, of less than 64 KiB")
	}
	ends, err := unixsock.Pair()
	if err != nil {
		return "", err
	}
	conn := os.NewFile(uintptr(ends[1]), "manhole command")
	defer conn.Close()
	s := newSession(h)
	if err := s.enter(Cred{os.Getpid(), os.Geteuid(), os.Getegid()}); err != nil {
		_ = os.NewFile(uintptr(ends[0]), "manhole command").Close()
		return "", err
	}
	s.usage = vitals.ReadUsage()
	s.beginAs(ends[0], protocol.Wishes{}, true)
	ours.Go(s.run)
	defer context.AfterFunc(ctx, func() { conn.Close() })() // the session stops the command
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", cmp.Or(ctx.Err(), err)
	}
	text, failed, err := protocol.ReadAnswer(conn, w)
	text = strings.TrimSpace(text)
	switch {
	case err != nil:
		return text, cmp.Or(ctx.Err(), err)
	case failed:
		return "", errors.New(text)
	}
	return text, nil
}

// alone returns the host of commands without a manhole.
func alone() *host {
	lone.Do(func() {
		installed.Lock() // since the oracle subscribes to signals
		defer installed.Unlock()
		h := &lone.host
		h.deactivate, h.hears = func() bool { return false }, func() bool { return true }
		h.oracle, h.greeting, h.uptime = sigthread.New(), func() []byte { return nil }, thisProcess().uptime
		h.disposition = h.oracle.Disposition
		_ = h.set(Options{}) // without commands of the program, there is no error
	})
	return &lone.host
}

var lone struct {
	sync.Once
	host
}

func (m *Manhole) isUninstalled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uninstalled
}
