package command

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
)

// descriptorCommands are the commands about open files.
var descriptorCommands = []*Command{
	{
		Name: "fds", Args: "[-n N] [REGEXP]", Summary: "show the open files, sockets and other descriptors",
		Help: "Shows number, kind, access (ro, wo, rw; path for O_PATH), state of the socket, target and flags. With REGEXP,\n" +
			"it shows only matching rows: fds 'tcp.*LISTEN', fds deleted. It does not read from a descriptor or write to\n" +
			"it. \"inherited by children\" means that close-on-exec is not set (not shown for 0 to 2). The program goes on\n" +
			"meanwhile; a descriptor that it closes is left out.\n" +
			"  -n N   show at most N rows; the default is 100, and 0 means all",
		Flags: flagNames(countFlag(new(int))),
		Run:   runFDs,
	},
}

// maxDescriptors limits how many descriptors are read. Each takes about 20 us.
const maxDescriptors = 1 << 16

func runFDs(ctx context.Context, s Session, args []string) error {
	n := 100
	rest, err := parseFlags("fds", args, countFlag(&n))
	switch {
	case err != nil:
		return err
	case n < 0:
		return fmt.Errorf("fds: -n %d: give the number of rows, 0 for all", n)
	case len(rest) > 1:
		return fmt.Errorf("fds: one regular expression at a time, not %q; use a|b for several", rest)
	}
	match := regexp.MustCompile("")
	if len(rest) == 1 {
		if match, err = regexp.Compile(rest[0]); err != nil {
			return fmt.Errorf("fds: %w", err)
		}
	}
	if n == 0 {
		n = maxDescriptors
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("fds: the limit of descriptors: %w", err)
	}
	numbers, err := procfs.Numbers(ctx, maxDescriptors)
	if err != nil {
		return fmt.Errorf("fds: %w", err)
	}
	return showFDs(ctx, s, numbers, limit.Cur, match, n)
}

// showFDs writes the rows of the descriptors that match, at most n of them.
func showFDs(ctx context.Context, s Session, numbers []int, limit uint64, match *regexp.Regexp, n int) error {
	unseen := max(0, len(numbers)-maxDescriptors)
	var rows []string
	found, matched, kinds := 0, 0, make(map[string]int)
	for _, fd := range numbers[:len(numbers)-unseen] {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d, ok := procfs.ReadDescriptor(fd)
		if !ok {
			continue
		}
		found++
		kinds[d.Kind]++
		row := descriptorRow(&d)
		if !match.MatchString(strings.TrimSpace(row)) {
			continue
		}
		if matched++; len(rows) < n {
			rows = append(rows, row)
		}
	}

	t := &dump.Writer{Ctx: ctx, W: s}
	t.Printf("%d of %d: %s\n", found+unseen, limit, countsText(kinds, " "))
	if unseen > 0 {
		t.Printf("the first %d of them were looked at\n", found)
	}
	for _, row := range rows {
		if t.Ended() {
			return t.Err
		}
		t.Printf("%s\n", row)
	}
	switch more := matched - len(rows); {
	case more > 0:
		t.Printf("%d more: fds -n 0\n", more)
	case matched == 0:
		t.Printf("no row matches %s\n", plaintext.Line(match.String()))
	}
	return t.Err
}

// countsText returns counts with their names, the most frequent first:
// "180 tcp, 12 file".
func countsText(counts map[string]int, between string) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprint(counts[name], between, name)
	}
	return strings.Join(names, ", ")
}

// descriptorRow returns the line that describes one descriptor.
func descriptorRow(d *procfs.Descriptor) string {
	var parts []string
	add := func(ok bool, part string) {
		if ok {
			parts = append(parts, part)
		}
	}
	target := strings.TrimSpace(d.State + " " + plaintext.Line(plaintext.Clip(d.Target, 4096)))
	add(target != "", target)
	add(d.Detail != "", d.Detail)
	add(d.Blocked != 0, compactSet(sigset.Set(d.Blocked)))
	add(d.Flags&unix.O_APPEND != 0, "append")
	add(d.Flags&unix.O_NONBLOCK != 0, "nonblock")
	add(d.Flags&unix.O_DIRECT != 0, "direct")
	add(d.Flags&unix.O_DSYNC != 0, "sync")
	switch {
	case d.Regular && d.Position >= 0:
		parts = append(parts, fmt.Sprintf("at %d of %d bytes", d.Position, d.Size))
	case d.Regular:
		parts = append(parts, fmt.Sprintf("%d bytes", d.Size))
	}
	add(d.Deleted, "deleted")
	add(!d.CloseOnExec && d.FD > 2, "inherited by children")
	add(d.Changed, "became another while it was looked at")
	return strings.TrimRight(fmt.Sprintf("%5d  %-9s %-4s  %s", d.FD, d.Kind, accessText(d.Flags), strings.Join(parts, ", ")), " ")
}

func accessText(flags int) string {
	switch {
	case flags&unix.O_PATH != 0:
		return "path"
	case flags&unix.O_ACCMODE == unix.O_RDONLY:
		return "ro"
	case flags&unix.O_ACCMODE == unix.O_WRONLY:
		return "wo"
	}
	return "rw"
}
