//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/manual"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/discovery"
)

const completionHelp = `usage: oneshot completion bash|zsh|fish

Prints the script with which a shell completes the client's commands, their flags, the
pids of the processes with a manhole, and the commands of a process. For example, in
~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish:

	source <(oneshot completion bash)
	source <(oneshot completion zsh)
	oneshot completion fish | source
`

const manHelp = `usage: oneshot man [-dir DIR] [COMMAND]

Prints the man page of oneshot, or of one of its commands. With -dir, it writes all of
them as new files to a folder.

	oneshot man | man -l -
	oneshot man serve | man -l -
	oneshot man -dir ~/.local/share/man/man1

	-dir DIR   write all pages to DIR; files that are there already are replaced
`

// listing are the arguments with which a completion script lists the processes.
const listing = "completion pids"

// programManual describes the command line, for the completion scripts and man pages.
func programManual() *manual.Program {
	p := &manual.Program{Name: "oneshot", Summary: "look inside a running Go process"}
	var forProcess []manual.Word
	for _, c := range command.Completions() {
		forProcess = append(forProcess, manual.Word{Name: c.Name, Summary: c.Summary})
	}
	usage := make([]string, len(sessionUsage))
	for i, l := range sessionUsage {
		usage[i] = l[0]
	}
	session := manual.Command{
		Usage: strings.Join(append(usage, "oneshot COMMAND [ARG...]"), "\n"), Summary: p.Summary,
		Help: withoutUsage(connectHelp), Flags: manual.Flags(new(connectFlags).define), Operand: manual.Process, Commands: forProcess,
	}
	p.Commands = append(p.Commands, session)
	for _, c := range subcommands() {
		p.Commands = append(p.Commands, manual.Command{
			Name: c.name, Usage: c.usageLine(), Summary: c.summary, Help: withoutUsage(c.help), Flags: manual.Flags(c.flags),
			Operand: c.operand, Words: c.words,
		})
	}
	return p
}

// withoutUsage removes the first line of a help text.
func withoutUsage(help string) string {
	_, text, _ := strings.Cut(help, "\n")
	return text
}

func runCompletion(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("completion", args, noFlags)
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return usageError{"completion: give a shell: " + strings.Join(manual.Shells, ", ")}
	case "completion "+rest[0] == listing:
		return printPids(stdout)
	}
	script := programManual().Script(rest[0], listing)
	if script == "" {
		return usageError{fmt.Sprintf("completion: no script for %.40q; there is one for %s", rest[0], strings.Join(manual.Shells, ", "))}
	}
	_, err = io.WriteString(stdout, script)
	return err
}

// printPids prints the pids of the processes with a manhole.
func printPids(w io.Writer) error {
	found, _, err := discovery.Scan()
	for _, p := range found {
		if p.Notice != nil && p.PID != os.Getpid() {
			fmt.Fprintln(w, p.PID)
		}
	}
	if errors.Is(err, errors.ErrUnsupported) { // without /proc there is nothing to complete
		return nil
	}
	return err
}

// manFlags are the flags of man.
type manFlags struct{ dir string }

func (f *manFlags) define(flags *flag.FlagSet) {
	flags.StringVar(&f.dir, "dir", "", "write all pages to the folder `DIR`")
}

func runMan(args []string, stdout, _ io.Writer) error {
	var f manFlags
	rest, err := parseMixed("man", args, f.define)
	switch {
	case err != nil:
		return err
	case len(rest) > 1, f.dir != "" && len(rest) > 0:
		return usageError{"man: give one command, or -dir DIR for the pages of all"}
	}
	pages := programManual().Pages(clientVersion())
	if f.dir != "" {
		for _, page := range pages {
			err = errors.Join(err, writePage(filepath.Join(f.dir, page.Name), page.Text))
		}
		return err
	}
	name := strings.Join(append([]string{"oneshot"}, rest...), "-") + ".1"
	for _, page := range pages {
		if page.Name == name {
			_, err := io.WriteString(stdout, page.Text)
			return err
		}
	}
	return usageError{fmt.Sprintf("man: no such command %.40q; oneshot help lists the commands", rest[0])}
}

// writePage writes a man page for everybody to read. It replaces an older one in one step,
// and follows no link that is at its path.
func writePage(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".oneshot-man-")
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, text)
	err = errors.Join(err, file.Chmod(0o644), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
