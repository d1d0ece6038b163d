//go:build linux

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// weighed are the programs that BenchmarkWeight builds. Each of them serves
// HTTP and logs with slog. The first one does nothing else; the others have a
// diagnostic tool as well.
var weighed = []struct {
	name    string
	Imports []string
	Start   string // the call that starts the tool
}{
	{name: "base"},
	{name: "net/http/pprof", Imports: []string{`_ "net/http/pprof"`}},
	{
		name:    "gops",
		Imports: []string{`"github.com/google/gops/agent"`},
		Start:   `err := agent.Listen(agent.Options{})`,
	},
	{
		name:    "oneshot",
		Imports: []string{`"syscall"`, `"github.com/gomanhole/oneshot"`},
		Start:   `_, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR1})`,
	},
}

var weighedProgram = template.Must(template.New("").Parse(`package main

import (
	"log/slog"
	"net/http"
	"os"
{{range .Imports}}	{{.}}
{{end}})

func main() {
{{with .Start}}	if {{.}}; err != nil {
		slog.Error("starting", "error", err)
	}
{{end}}	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		slog.Info("request", "path", r.URL.Path)
	})
	slog.Error("serving", "error", http.ListenAndServe(os.Args[1], nil))
}
`))

// maxWeight is the most bytes that oneshot may add. The benchmark fails above it,
// so that nobody links a large package by mistake. Often the reason is a sort of
// package slices for one more type of struct, or fmt.Sscanf, errors.As,
// strconv.ParseFloat, flag, regexp, encoding/json, math/big or text/template.
const maxWeight = 2_250_000

// BenchmarkWeight reports how many bytes a diagnostic tool adds to a stripped
// program that uses net/http and log/slog already, with each supported release
// of Go:
//
//	go test -run '^$' -bench Weight -benchtime 1x .
func BenchmarkWeight(b *testing.B) {
	sizes := make(map[string]int64)
	for b.Loop() {
		for _, release := range releases {
			for i := range weighed {
				sizes[release+" "+weighed[i].name] = weigh(b, i, release)
			}
		}
	}
	var rows [][]string
	for _, release := range releases {
		base := sizes[release+" "+weighed[0].name]
		rows = append(rows, []string{release, weighed[0].name, grouped(base), ""})
		for _, p := range weighed[1:] {
			size := sizes[release+" "+p.name]
			rows = append(rows, []string{release, p.name, grouped(size), grouped(size - base)})
			b.ReportMetric(float64(size-base), release+"-"+p.name+"-B")
			if p.name == "oneshot" && size-base > maxWeight {
				b.Errorf("%s: oneshot adds %d bytes to a program, more than %d", release, size-base, maxWeight)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // how long the builds take is not what it is about
	fmt.Print(markdownTable([]string{"release", "program", "bytes", "added"}, rows))
}

// weigh builds a program and returns the size of its binary.
func weigh(b *testing.B, program int, release string) int64 {
	b.Helper()
	dir := b.TempDir()
	var source strings.Builder
	if err := weighedProgram.Execute(&source, weighed[program]); err != nil {
		b.Fatal(err)
	}
	write(b, filepath.Join(dir, "main.go"), source.String())
	// The versions of this benchmark's own module are those of the program.
	root, err := filepath.Abs("..")
	if err != nil {
		b.Fatal(err)
	}
	module := strings.Replace(read(b, "go.mod"), "=> ../", "=> "+root, 1)
	write(b, filepath.Join(dir, "go.mod"), module)
	write(b, filepath.Join(dir, "go.sum"), read(b, "go.sum"))
	binary := filepath.Join(dir, "program")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Dir = dir
	// Without cgo, the size does not depend on the C tools of the machine.
	build.Env = append(os.Environ(), "GOTOOLCHAIN="+release, "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building %s with %s: %v\n%s", weighed[program].name, release, err, out)
	}
	file, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	return file.Size()
}

func read(b *testing.B, name string) string {
	b.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

func write(b *testing.B, name, text string) {
	b.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
