//go:build linux

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// growingProgram has a manhole. Its memory grows by 200 MiB a second. At 1 GiB the
// program ends without a warning, as if the kernel had run out of memory for it.
func growingProgram() {
	_, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2})
	check(err)
	fmt.Println("ready")
	var kept [][]byte
	for began := time.Now(); len(kept) < 1024; {
		time.Sleep(time.Until(began.Add(time.Duration(len(kept)) * time.Second / 200)))
		kept = append(kept, fill(make([]byte, 1<<20)))
	}
	check(syscall.Kill(os.Getpid(), syscall.SIGKILL))
}

// fill writes to each page, so that it is in RAM.
//
//go:noinline
func fill(p []byte) []byte {
	for i := 0; i < len(p); i += 4096 {
		p[i] = 1
	}
	return p
}

// BenchmarkWatch has oneshot watch write what a program does whose memory grows fast, before
// the program ends: its stacks and a heap profile, or a bundle that has both:
//
//	go test -run '^$' -bench Watch -benchtime 20x .
//
// Each round takes about 6 seconds.
func BenchmarkWatch(b *testing.B) {
	client, err := buildClient()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		actions  []string
		complete func(dir string) bool
	}{
		{"files", []string{"-do", "stacks", "-do", "profile heap"}, complete},
		{"bundle", []string{"-do", "bundle"}, completeBundle},
	} {
		b.Run(c.name, func(b *testing.B) {
			written, rounds := 0, 0
			for b.Loop() {
				dir := b.TempDir()
				out, err := watchGrowing(b, client, append(c.actions, "-dir", dir)...)
				rounds++
				if c.complete(dir) && err == nil {
					written++
				} else {
					b.Logf("%v: %s", err, out)
				}
			}
			b.ReportMetric(float64(written), "written")
			b.ReportMetric(float64(rounds), "rounds")
			b.ReportMetric(0, "ns/op")
			if written < rounds*19/20 {
				b.Errorf("%d of %d were written before the end of the program", written, rounds)
			}
		})
	}
}

// watchGrowing watches a program until it has grown to 400 MiB, and returns when the client
// has ended.
func watchGrowing(b *testing.B, client string, actions ...string) (out *testwait.Buffer, err error) {
	b.Helper()
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "BENCH_PROGRAM=growing")
	if line := firstLine(b, program); line != "ready" {
		b.Fatalf("the program printed %q", line)
	}
	cmd := exec.Command(client, append(append([]string{"watch", "-when", "rss>400MiB", "-times", "1"}, actions...), strconv.Itoa(program.Process.Pid))...)
	out = new(testwait.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	kill := time.AfterFunc(2*testwait.Patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	return out, cmd.Run()
}

// completeBundle reports whether a bundle is there that opens, and has the stacks and a heap
// profile. They can only have been made before the end of the program.
func completeBundle(dir string) bool {
	files, _ := filepath.Glob(dir + "/*-bundle.tar.gz") // the pattern is valid
	if len(files) != 1 {
		return false
	}
	parts, err := partsOf(files[0])
	return err == nil && strings.Contains(string(parts["stacks.txt"]), "by identical stacks") && len(parts["profiles/heap.pb.gz"]) > 100 && parts["manifest.json"] != nil
}

// complete reports whether both files are there and are whole.
func complete(dir string) bool {
	stacks, _ := filepath.Glob(dir + "/*-stacks.txt") // the pattern is valid
	profiles, _ := filepath.Glob(dir + "/*-profile_heap.pb.gz")
	if len(stacks) != 1 || len(profiles) != 1 {
		return false
	}
	text, err := os.ReadFile(stacks[0])
	data, err2 := os.ReadFile(profiles[0])
	return err == nil && err2 == nil && strings.Contains(string(text), "by identical stacks") && len(data) > 100
}
