//go:build linux

package integration

import (
	"archive/zip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// release is the version that published gives to the tree.
const release = "v0.1.0"

// TestAProgramThatImportsOnlyTheRoot checks the go.mod and go.sum of such a program.
// They have golang.org/x/sys, and none of the modules of the client and of package
// eval.
func TestAProgramThatImportsOnlyTheRoot(t *testing.T) {
	env := published(t)
	dir := testwait.TempDir(t)
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("go.mod", "module example.com/program\n\ngo 1.26.0\n\nrequire "+module+" "+release+"\n")
	write("main.go", `package main

import (
	"log/slog"

	"`+module+`"
)

func main() {
	if _, err := oneshot.InstallFromEnv(); err != nil {
		slog.Warn("no manhole", "error", err)
	}
}
`)
	run := func(args ...string) string {
		cmd := testwait.Command(t, "go", args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "go %s: %s", strings.Join(args, " "), out)
		return string(out)
	}
	run("mod", "tidy")
	run("build", "-o", "program", ".")
	var edit struct{ Require []struct{ Path string } }
	require.NoError(t, json.Unmarshal([]byte(run("mod", "edit", "-json")), &edit))
	paths := make([]string, 0, 2)
	for _, r := range edit.Require {
		paths = append(paths, r.Path)
	}
	require.Equal(t, []string{module, "golang.org/x/sys"}, paths, "the modules in go.mod")
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(sum), "\n"), 10, "lines of go.sum:\n%s", sum)
}

// TestInstallOfTheClient checks that go install works with a version: then the go
// command accepts no replace directive, and no package of another module's folder.
func TestInstallOfTheClient(t *testing.T) {
	bin := testwait.TempDir(t)
	cmd := testwait.Command(t, "go", "install", module+"/cmd/oneshot@"+release)
	cmd.Dir, cmd.Env = bin, append(published(t), "GOBIN="+bin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = testwait.Command(t, filepath.Join(bin, "oneshot"), "version").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), release)
}

// published makes a module proxy of files that serves this tree as the version
// release, as the proxies serve a tag. It returns the environment in which the go
// command uses it. Every other module comes from the cache of this machine or from its
// proxy. The published tree does not get into that cache.
func published(t *testing.T) []string {
	t.Helper()
	proxy := testwait.TempDir(t)
	dir := filepath.Join(proxy, module, "@v")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "list"), []byte(release+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, release+".info"), []byte(`{"Version":"`+release+`"}`), 0o600))
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, release+".mod"), mod, 0o600))
	file, err := os.Create(filepath.Join(dir, release+".zip"))
	require.NoError(t, err)
	defer file.Close()
	zipModule(t, file, "..", module+"@"+release+"/")

	variable := func(name string) string {
		out, err := testwait.Command(t, "go", "env", name).Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	return append(os.Environ(),
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(variable("GOMODCACHE"), "cache", "download")+","+variable("GOPROXY"),
		"GOMODCACHE="+testwait.TempDir(t), "GOFLAGS=-modcacherw", "GOWORK=off",
		"GONOPROXY=none", "GOPRIVATE=", "GOSUMDB=off")
}

// zipModule writes the files of the module at root, under the prefix. A folder with a
// go.mod of its own is another module.
func zipModule(t *testing.T, w io.Writer, root, prefix string) {
	t.Helper()
	archive := zip.NewWriter(w)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && path != root:
			if _, err := os.Lstat(filepath.Join(path, "go.mod")); err == nil || strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to, err := archive.Create(prefix + filepath.ToSlash(name))
		if err != nil {
			return err
		}
		_, err = to.Write(text)
		return err
	}))
	require.NoError(t, archive.Close())
}
