//go:build linux && !oneshot_noproc

package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/document"
)

const psHelp = `usage: oneshot ps [-json]

Lists the running Go programs, except this one, and their manholes. A program in
another language is listed if it has loaded a library in Go that has a manhole:

	PID      the pid to use with oneshot
	INNER    the pid that a process in a container has there; the name of its
	         socket contains it
	USER     its effective user
	GO       the version of Go that built it
	PROGRAM  its main module and version; if its name differs, the name in
	         parentheses
	MANHOLE  not linked: it does not import github.com/gomanhole/oneshot
	         linked, not installed: it does, but shows no notice of a manhole
	         otherwise the signals and the trigger file that open the manhole,
	         and the path of its socket
	OPEN     how many windows are open now

oneshot ps reads /proc/PID and sends nothing to any process. Only root can read the
processes of other users. What should be readable but is not is named at the end.

	-json   prints one JSON object with the fields schema ("oneshot/ps"), version (1)
	        and processes, an array with one object for each process:

	pid          number
	inner_pid    number; equals pid if the process is not in a container
	uid, euid    numbers
	user         string, the name of euid; empty if it has none
	name         string, the name of the process
	start        number, the start time in clock ticks since boot
	go           string, such as go1.26.0
	main         string, the path of the main module
	version      string, the version of the main module
	revision     string, its version control revision, with +dirty; may be empty
	library      string, the library in Go of a program in another language; empty
	             otherwise
	linked       boolean: it imports github.com/gomanhole/oneshot
	installed    boolean: it shows a notice of a manhole
	oneshot      string, the signal for one session; empty if there is none
	activate     string, the signal that keeps it open; empty if there is none
	trigger      string, the path of the trigger file as seen from here; empty if
	             there is none
	socket       string, the path of the socket as seen from here; empty if not installed
	same_network boolean: an abstract socket (@name) can be reached from here
	open         number of windows; null if it is not permitted to read it
`

// psRow is a process in the list. Scripts rely on the names of its JSON fields.
type psRow struct {
	PID         int    `json:"pid"`
	InnerPID    int    `json:"inner_pid"`
	UID         int    `json:"uid"`
	EUID        int    `json:"euid"`
	User        string `json:"user"`
	Name        string `json:"name"`
	Start       uint64 `json:"start"`
	Go          string `json:"go"`
	Main        string `json:"main"`
	Version     string `json:"version"`
	Revision    string `json:"revision"`
	Library     string `json:"library"`
	Linked      bool   `json:"linked"`
	Installed   bool   `json:"installed"`
	Oneshot     string `json:"oneshot"`
	Activate    string `json:"activate"`
	Trigger     string `json:"trigger"`
	Socket      string `json:"socket"`
	SameNetwork bool   `json:"same_network"`
	Open        *int   `json:"open"`
}

// psDocument is what ps -json prints.
type psDocument struct {
	document.Head
	Processes []psRow `json:"processes"`
}

// psFlags are the flags of ps.
type psFlags struct{ json bool }

func (f *psFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.json, "json", false, "print one JSON object, with an array of the processes")
}

func runPS(args []string, stdout, stderr io.Writer) error {
	var f psFlags
	rest, err := parseFlags("ps", args, f.define)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError{fmt.Sprintf("ps: unexpected argument %.40q; oneshot ps lists all Go programs", rest[0])}
	}
	found, denied, scanErr := discovery.Scan()
	if scanErr != nil && len(found) == 0 {
		return scanErr
	}
	found = slices.DeleteFunc(found, func(p *discovery.Process) bool { return p.PID == os.Getpid() })
	rows, err := psRows(found)
	if err != nil {
		return err
	}
	if f.json {
		err = document.Write(context.Background(), stdout, psDocument{document.Of("ps"), rows})
	} else {
		err = printRows(stdout, rows)
	}
	if err == nil {
		_, err = io.WriteString(stderr, skippedText(denied, os.Geteuid(), len(rows) == 0))
	}
	return errors.Join(err, scanErr)
}

// maxSkipped is how many skipped processes are named.
const maxSkipped = 5

// skippedText returns lines about the processes that a user with this euid may not read.
// There are always those of other users. They are worth a line only if there is nothing
// else to see.
func skippedText(denied []*discovery.Process, euid int, nothing bool) string {
	var text strings.Builder
	own, others := 0, 0
	for _, p := range denied {
		switch {
		case euid != 0 && p.EUID != euid:
			others++
		case own < maxSkipped:
			own++
			fmt.Fprintf(&text, "process %d (%s) was skipped: only a process with CAP_SYS_PTRACE may read it\n", p.PID, display.Cell(p.Name))
		default:
			own++
		}
	}
	if own > maxSkipped {
		fmt.Fprintf(&text, "%s skipped too\n", display.Count(own-maxSkipped, "other process was", "other processes were"))
	}
	if others > 0 && nothing {
		fmt.Fprintf(&text, "%s skipped; root can read them\n", display.Count(others, "process of another user was", "processes of other users were"))
	}
	return text.String()
}

func psRows(found []*discovery.Process) ([]psRow, error) {
	rows := make([]psRow, 0, len(found)) // not nil, which JSON encodes as null
	users := make(map[int]string)
	var sockets discovery.Sockets
	for _, p := range found {
		name, ok := users[p.EUID]
		if !ok {
			if u, err := user.LookupId(strconv.Itoa(p.EUID)); err == nil {
				name = u.Username
			}
			users[p.EUID] = name
		}
		row := psRow{
			PID: p.PID, InnerPID: p.InnerPID(), UID: p.UID, EUID: p.EUID, User: name, Name: p.Name, Start: p.Start,
			Go: p.Go, Main: p.Main, Version: p.Version, Revision: p.Revision,
			Library: p.Library, Linked: p.Linked, Installed: p.Notice != nil, SameNetwork: p.SameNet(),
		}
		open := 0
		row.Open = &open
		if n := p.Notice; n != nil {
			row.Oneshot, row.Activate, row.Trigger, row.Socket = n.Oneshot, n.Activate, p.TriggerPath(), p.SocketPath()
			var err error
			switch open, err = sockets.Windows(p); {
			case errors.Is(err, discovery.ErrNoProcess):
				continue
			case errors.Is(err, discovery.ErrNotPermitted):
				row.Open = nil
			case err != nil:
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func printRows(w io.Writer, rows []psRow) error {
	contained := slices.ContainsFunc(rows, func(r psRow) bool { return r.InnerPID != r.PID })
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(cells ...string) {
		if !contained {
			cells = slices.Delete(cells, 1, 2)
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	line("PID", "INNER", "USER", "GO", "PROGRAM", "MANHOLE", "OPEN")
	for _, r := range rows {
		inner, open := "", ""
		if r.InnerPID != r.PID {
			inner = strconv.Itoa(r.InnerPID)
		}
		if r.Open == nil {
			open = "?"
		} else if *r.Open > 0 {
			open = strconv.Itoa(*r.Open)
		}
		user := cmp.Or(r.User, strconv.Itoa(r.EUID))
		line(strconv.Itoa(r.PID), inner, display.Cell(user), display.Cell(cmp.Or(r.Go, "?")), display.Cell(r.program()), display.Cell(r.manhole()), open)
	}
	return out.Flush()
}

func (r psRow) program() string {
	text := r.Main
	if r.Version != "" {
		text += " " + r.Version
	}
	switch {
	case r.Library != "":
		return strings.TrimSpace(text + " (" + r.Library + " in " + r.Name + ")")
	case r.Main == "" || r.Main == "command-line-arguments":
		return r.Name
	}
	// The kernel cuts the name of a process after 15 bytes.
	if base := path.Base(r.Main); r.Name != base && (len(r.Name) < 15 || !strings.HasPrefix(base, r.Name)) {
		text += " (" + r.Name + ")"
	}
	return text
}

func (r psRow) manhole() string {
	switch {
	case !r.Installed && !r.Linked:
		return "not linked"
	case !r.Installed:
		return "linked, not installed"
	}
	var words []string
	if r.Oneshot != "" {
		words = append(words, r.Oneshot+" oneshot")
	}
	if r.Activate != "" {
		words = append(words, r.Activate+" activate")
	}
	if r.Trigger != "" {
		words = append(words, "trigger file "+r.Trigger)
	}
	if len(words) == 0 {
		words = append(words, "no signal")
	}
	text := strings.Join(words, ", ") + "  " + r.Socket
	if strings.HasPrefix(r.Socket, "@") && !r.SameNetwork {
		text += " in another network namespace"
	}
	return text
}
