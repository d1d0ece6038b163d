//go:build linux || darwin || freebsd

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/document"
)

// origin is where a dump comes from: exactly one of the fields besides name is set.
type origin struct {
	name string // as it was given
	pid  int
	host string // with pid
	file string
}

// dumpWords is the command that makes a dump to compare.
var dumpWords = []string{"stacks", "-json", "-n", "5000"}

// maxQuoted is how many bytes of a text from a hostile process are shown in one line.
const maxQuoted = 1000

// maxDump is the largest size of a dump in bytes.
const maxDump = 256 << 20

// sshHost matches the names that are passed to ssh. A name must not begin with -, which
// would be a flag of ssh, and must not have characters that a shell or ssh interprets.
var sshHost = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// parseOrigin parses an argument of diff.
func parseOrigin(arg string) (origin, error) {
	s := origin{name: arg}
	if rest, ok := strings.CutPrefix(arg, "ssh:"); ok {
		host, pid, ok := strings.Cut(rest, ":")
		n, err := strconv.ParseInt(pid, 10, 32)
		switch {
		case !ok || err != nil || n < 1:
			return s, fmt.Errorf("%.200q: give ssh:HOST:PID, with a number for PID", arg)
		case len(host) > 255 || !sshHost.MatchString(host):
			return s, fmt.Errorf("%.200q is not a name that is passed to ssh: letters, digits, dots, - and _, also with USER@ in front; ~/.ssh/config can give any machine such a name", host)
		}
		s.host, s.pid = host, int(n)
		return s, nil
	}
	if n, err := strconv.ParseInt(arg, 10, 32); err == nil && n > 0 {
		s.pid = int(n)
		return s, nil
	}
	if _, err := os.Stat(arg); err != nil {
		return s, fmt.Errorf("%w; give a pid, ssh:HOST:PID, or the file of a dump or a bundle", err)
	}
	s.file = arg
	return s, nil
}

// isLive reports whether the origin is a running process.
func (s origin) isLive() bool { return s.pid != 0 }

func (s origin) read(ctx context.Context) (*document.Stacks, error) {
	switch {
	case s.host != "":
		return s.overSSH(ctx)
	case s.pid != 0:
		return s.process()
	}
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		return readBundle(in)
	}
	return parseDump(in)
}

// process gets a dump from a process here: from its manhole, or from outside.
func (s origin) process() (*document.Stacks, error) {
	t, o := target{pid: s.pid}, connectOptions{timeout: defaultTimeout}
	out, errs := &bounded{most: maxDump}, &bounded{most: maxQuoted}
	isOutside, err := viaOutside(t, o, dumpWords, out, errs)
	if !isOutside && err == nil {
		err = runCommand(t, o, commandLine(dumpWords), out, errs)
	}
	if status := (statusError{}); errors.As(err, &status) && status.err == nil {
		err = errors.New(strings.TrimSpace(errs.String()))
	}
	if err != nil {
		return nil, err
	}
	return parseDump(&out.Buffer)
}

// overSSH gets a dump from a process on another machine, with the client there.
func (s origin) overSSH(ctx context.Context) (*document.Stacks, error) {
	args := append([]string{"-o", "BatchMode=yes", "-T", "--", s.host, "oneshot", strconv.Itoa(s.pid)}, dumpWords...)
	cmd := exec.CommandContext(ctx, "ssh", args...)
	out, errs := &bounded{most: maxDump}, &bounded{most: maxQuoted}
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(errs.String())
		return nil, fmt.Errorf("ssh %s oneshot %d: %w: %s", s.host, s.pid, err, cmp.Or(said, "it said nothing; is oneshot in the PATH there?"))
	}
	return parseDump(&out.Buffer)
}

// bounded keeps up to most bytes, and then returns an error.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, fmt.Errorf("there are more than %d bytes", b.most)
	}
	return b.Buffer.Write(p)
}

// parseDump parses the JSON form of stacks, screen or leaks. It may come from a machine
// that others control.
func parseDump(r io.Reader) (*document.Stacks, error) {
	d := new(document.Stacks)
	limited := &io.LimitedReader{R: r, N: maxDump}
	err := json.NewDecoder(limited).Decode(d)
	switch {
	case limited.N <= 0:
		return nil, fmt.Errorf("the dump is larger than %d MiB", maxDump>>20)
	case err != nil:
		return nil, fmt.Errorf("this is not what stacks -json or screen -json prints: %w", err)
	case !slices.Contains([]string{"oneshot/stacks", "oneshot/screen", "oneshot/leaks"}, d.Schema):
		return nil, fmt.Errorf("this has the schema %.40q; give what stacks -json or screen -json prints", d.Schema)
	case d.Head.Version != document.Version:
		return nil, fmt.Errorf("this has version %d of the schema, and this client knows version %d; use the client that belongs to it", d.Head.Version, document.Version)
	}
	for _, g := range d.Groups {
		if g.Count < 0 {
			return nil, fmt.Errorf("this is damaged: it has a group of %d goroutines; take the dump again", g.Count)
		}
	}
	return d, nil
}

// readBundle reads the dump in a bundle: stacks.json, and the vital signs from screen.json.
func readBundle(r io.Reader) (*document.Stacks, error) {
	b, err := bundle.Read(r)
	if err != nil {
		return nil, err
	}
	part := func(name string) (*document.Stacks, error) {
		data, err := b.Part(name)
		switch {
		case errors.Is(err, bundle.ErrNoPart):
			return nil, nil
		case err != nil:
			return nil, err
		}
		d, err := parseDump(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return d, nil
	}
	stacks, err := part("stacks.json")
	if err != nil {
		return nil, err
	}
	screen, err := part("screen.json")
	switch {
	case err != nil:
		return nil, err
	case stacks == nil && screen == nil:
		return nil, errors.New("the bundle has neither stacks.json nor screen.json; its manifest.json says why")
	case stacks == nil:
		return screen, nil
	case screen != nil && stacks.Vitals == nil:
		stacks.Vitals = screen.Vitals
	}
	return stacks, nil
}
