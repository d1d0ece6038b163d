//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// hang is the time after which a program that does not exit is killed.
const hang = 10 * time.Minute

// child is this test binary, running as another program. The program answers every
// line on its standard input with a line on its standard output.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts a program and returns the first line of its output.
func startChild(b *testing.B, program string, args ...string) (c *child, first string) {
	b.Helper()
	return startChildOf(b, os.Args[0], program, args...)
}

// startChildOf starts a program of another build of this test binary.
func startChildOf(b *testing.B, binary, program string, args ...string) (c *child, first string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	b.Cleanup(cancel)
	c = &child{cmd: exec.CommandContext(ctx, binary, args...)}
	c.cmd.Env = append(os.Environ(), "BENCH_PROGRAM="+program)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.kill)
	return c, c.answer(b)
}

func (c *child) ask(b *testing.B, question string) string {
	b.Helper()
	if _, err := io.WriteString(c.in, question+"\n"); err != nil {
		b.Fatalf("%v: %v", c.cmd.Args, err)
	}
	return c.answer(b)
}

// askFor asks for JSON.
func (c *child) askFor(b *testing.B, question string, answer any) {
	b.Helper()
	if err := json.Unmarshal([]byte(c.ask(b, question)), answer); err != nil {
		b.Fatalf("%v: %v", c.cmd.Args, err)
	}
}

func (c *child) answer(b *testing.B) string {
	b.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		b.Fatalf("%v ended, or was killed after %v: %v", c.cmd.Args, hang, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// kill ends the program at once. The next program needs the memory of its million
// goroutines.
func (c *child) kill() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // killed
}

// answerQuestions runs in the child and answers the questions. It returns when the
// parent's end of the pipe is closed, so no program outlives its benchmark.
func answerQuestions(first string, answers map[string]func() any) {
	fmt.Println(first)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		answer, ok := answers[in.Text()]
		if !ok {
			check(fmt.Errorf("unknown question %q", in.Text()))
		}
		text, err := json.Marshal(answer())
		check(err)
		fmt.Printf("%s\n", text)
	}
	os.Exit(0)
}

// markdownTable formats rows of cells as an aligned table.
func markdownTable(header []string, rows [][]string) string {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	rule := slices.Repeat([]string{"---:"}, len(header))
	for _, row := range append([][]string{header, rule}, rows...) {
		fmt.Fprintf(w, "%s \t\n", strings.Join(row, " \t"))
	}
	w.Flush()
	return "\n|" + strings.ReplaceAll(strings.TrimSuffix(text.String(), "\n"), "\n", "\n|") + "\n\n"
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// ms formats a duration with about three significant digits.
func ms(d time.Duration) string {
	v := milliseconds(d)
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	case v >= 1:
		return fmt.Sprintf("%.2f ms", v)
	}
	return fmt.Sprintf("%.0f µs", v*1e3)
}
