//go:build linux

package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/manual"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// The table is what help, completion and the man pages are made of.
func TestTheTableOfSubcommandsIsComplete(t *testing.T) {
	names := []string{"connect"}
	for _, c := range subcommands() {
		names = append(names, c.name)
		require.NotEmpty(t, c.summary, c.name)
		require.True(t, strings.HasPrefix(c.help, "usage: oneshot "+c.name), c.name)
		require.NotNil(t, c.run, c.name)
		sessionFlags := make(map[string]bool)
		for _, f := range manual.Flags(new(connectFlags).define) {
			sessionFlags[f.Name] = true
		}
		for _, f := range manual.Flags(c.flags) {
			require.NotEmpty(t, f.Summary, "%s -%s", c.name, f.Name)
			if !sessionFlags[f.Name] || c.name == "clean" {
				require.Contains(t, c.help, "-"+f.Name, "the help of %s describes each flag", c.name)
			}
		}
		if c.name != "pprof" { // it passes arguments on
			err := c.run([]string{"-no-such-flag"}, io.Discard, io.Discard)
			require.ErrorAs(t, err, new(usageError), c.name)
		}
		require.ErrorIs(t, c.run([]string{"-h"}, io.Discard, io.Discard), flag.ErrHelp, c.name)
	}
	require.ElementsMatch(t, helpNames(), names)
}

// inShell runs a script in a shell, in which oneshot is the client.
func inShell(t *testing.T, script string, shell ...string) string {
	t.Helper()
	if _, err := exec.LookPath(shell[0]); err != nil {
		t.Skipf("needs %s", shell[0])
	}
	dir := t.TempDir()
	wrapper := "#!/bin/sh\n" + clientEnv + "=1 exec " + os.Args[0] + ` "$@"` + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "oneshot"), []byte(wrapper), 0o700))
	cmd := testwait.Command(t, shell[0], shell[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir, "TERM=dumb")
	cmd.Dir = dir
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "installed"))
	out := inShell(t, `source <(oneshot completion bash)
complete -p oneshot
words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _oneshot; echo "$*: ${COMPREPLY[*]}"; }
words oneshot se
words oneshot `+pid[:len(pid)-1]+`
words oneshot serve -in
words oneshot serve -http :0 `+pid[:len(pid)-1]+`
words oneshot watch -dir fo
words oneshot watch -when ''
words oneshot -2 -t 5 7 mutexf
words oneshot 7 stacks -
words oneshot completion z
words oneshot help wa
words oneshot clean fo
`, "bash", "--norc")
	for _, line := range []string{
		"complete -F _oneshot oneshot", "oneshot se: serve", "oneshot serve -in: -insecure", "oneshot watch -dir fo: folder",
		"oneshot watch -when : ", "oneshot -2 -t 5 7 mutexf: mutexfraction", "oneshot 7 stacks -: ", "oneshot completion z: zsh",
		"oneshot help wa: watch", "oneshot clean fo: folder",
	} {
		require.Contains(t, strings.Split(out, "\n"), line, out)
	}
	for _, begin := range []string{"oneshot " + pid[:len(pid)-1] + ":", "oneshot serve -http :0 " + pid[:len(pid)-1] + ":"} {
		i := strings.Index(out, begin)
		require.GreaterOrEqual(t, i, 0, out)
		line, _, _ := strings.Cut(out[i+len(begin):], "\n")
		require.Contains(t, strings.Fields(line), pid, out)
	}
}

func TestCompletionInZsh(t *testing.T) {
	t.Parallel()
	inShell(t, "oneshot completion zsh > script && zsh -n script", "zsh", "-f")
	out := inShell(t, `autoload -Uz compinit; compinit -u -D
source <(oneshot completion zsh)
print -r -- $_comps[oneshot]
`, "zsh", "-f")
	require.Contains(t, out, "_oneshot\n")
}

func TestCompletionInFish(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "installed"))
	out := inShell(t, `oneshot completion fish | source
complete -C 'oneshot se'; echo =
complete -C 'oneshot serve -in'; echo =
complete -C 'oneshot serve `+pid[:len(pid)-1]+`'; echo =
complete -C 'oneshot 7 mutexf'; echo =
complete -C 'oneshot completion z'
`, "fish", "--no-config")
	parts := strings.Split(out, "=\n")
	require.Len(t, parts, 5, out)
	require.Contains(t, parts[0], "serve\tserve the profiles")
	require.Contains(t, parts[1], "-insecure\thave no random token")
	require.Contains(t, parts[2], pid+"\n")
	require.Contains(t, parts[3], "mutexfraction\t")
	require.Contains(t, parts[4], "zsh\n")
}

func TestManPagesAreValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out, errs bytes.Buffer
	require.NoError(t, runMan([]string{"-dir", dir}, &out, &errs))
	require.NoError(t, runMan([]string{"-dir", dir}, &out, &errs), "pages that are there are replaced")
	pages, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	require.Len(t, pages, 1+len(subcommands()), "and no other file is left")
	for _, page := range pages {
		info, err := os.Stat(page)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode().Perm())
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, ".") {
				require.Regexp(t, `^\.(TH|SH|TP|PP|RS|RE|nf|fi|\\")`, line, "%s: a line of text that roff takes for a request", page)
			}
		}
	}
	serve, err := os.ReadFile(filepath.Join(dir, "oneshot-serve.1"))
	require.NoError(t, err)
	require.Contains(t, string(serve), ".TP\n\\fB\\-http\\fR \\fIADDRESS\\fR\nlisten at this ADDRESS\n")
	if groff, err := exec.LookPath("groff"); err == nil {
		said, err := testwait.Command(t, groff, append([]string{"-man", "-Tutf8", "-ww", "-z"}, pages...)...).CombinedOutput()
		require.NoError(t, err)
		require.Empty(t, string(said))
	}
}
