//go:build linux

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// builds are ways to build the programs, by name: the arguments of go build.
var builds = map[string][]string{
	"pie":      {"-buildmode=pie"},
	"stripped": {"-ldflags=-s -w"},
	"race":     {"-race"},
	"static":   nil, // without cgo
	"c-host":   {"-buildmode=c-archive"},
}

//go:embed testdata/chost.c
var cHost string

// self is the package of this command.
const self = "github.com/gomanhole/oneshot/bench/stress"

// build builds the programs in the given ways. Every user may run them.
func (s *stress) build(names string) error {
	if names == "all" {
		names = strings.Join(slices.Sorted(maps.Keys(builds)), ",")
	}
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		flags, ok := builds[name]
		if !ok {
			return fmt.Errorf("stress: unknown build %q; they are all or some of %s", name, strings.Join(slices.Sorted(maps.Keys(builds)), ","))
		}
		dir := filepath.Join(s.dir, name)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil { // whatever the umask
			return err
		}
		file := filepath.Join(dir, "stress") // the name is in the greeting
		output := file
		if name == "c-host" {
			output += ".a"
		}
		env := "CGO_ENABLED=1"
		if name == "static" {
			env = "CGO_ENABLED=0"
		}
		if err := runTool(env, "go", append(append([]string{"build", "-o", output}, flags...), self)...); err != nil {
			return err
		}
		if name == "c-host" {
			source := file + ".c"
			if err := os.WriteFile(source, []byte(cHost), 0o600); err != nil {
				return err
			}
			if err := runTool("", "gcc", "-o", file, source, output, "-lpthread"); err != nil {
				return err
			}
		}
		if err := os.Chmod(file, 0o755); err != nil { // whatever the umask
			return err
		}
		s.binaries = append(s.binaries, file)
	}
	return nil
}

func runTool(env, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// pick returns a binary for a program of kind k.
func (s *stress) pick(k *kind, seed uint64) string {
	var possible []string
	for _, binary := range s.binaries {
		if k.runs(binary) {
			possible = append(possible, binary)
		}
	}
	return possible[seed%uint64(len(possible))]
}

// runs reports whether a program that was built in this way can be of kind k. In a C
// program, the signal that opens a window has no handler for a moment after exec.
func (k *kind) runs(binary string) bool {
	return !k.again || !isCHost(binary)
}

// canHaveCHandlers reports whether the program can have C code that handles signals. In a C
// host, signal.Notify and signal.Stop replace the handlers of C code themselves, so such a
// program is not safe without a manhole either.
func canHaveCHandlers(binary string) bool {
	return !isCHost(binary) && filepath.Base(filepath.Dir(binary)) != "static"
}

func isCHost(binary string) bool { return filepath.Base(filepath.Dir(binary)) == "c-host" }

func isRace(binary string) bool { return filepath.Base(filepath.Dir(binary)) == "race" }
