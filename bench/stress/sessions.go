//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// session is a way in which a client behaves in a session.
type session struct {
	name   string
	run    func(c *client) error
	weight int
	script bool // the client wants frames
	prompt bool // the client needs a prompt
}

var sessions = []session{
	{name: "dialogue", run: (*client).dialogue, weight: 5, prompt: true},
	{name: "all at once", run: (*client).allAtOnce, weight: 4},
	{name: "interrupts", run: (*client).interrupts, weight: 3, prompt: true},
	{name: "goes at any moment", run: (*client).goes, weight: 4},
	{name: "reads slowly", run: (*client).readsSlowly, weight: 2},
	{name: "garbage", run: (*client).garbage, weight: 2},
	{name: "long lines", run: (*client).longLines, weight: 1},
	{name: "floods", run: (*client).floods, weight: 1},
	{name: "standard error", run: (*client).standardError, weight: 1, prompt: true},
	{name: "script", run: (*client).asScript, weight: 2, script: true},
	{name: "script, interrupted", run: (*client).asInterruptedScript, weight: 1, script: true},
}

// weighted contains each session as often as its weight.
var weighted = func() (all []session) {
	for _, s := range sessions {
		for range s.weight {
			all = append(all, s)
		}
	}
	return all
}()

// visit runs one client, from its signal to its end.
func (p *process) visit(r *rand.Rand, sure bool) {
	s := weighted[r.IntN(len(weighted))]
	for s.prompt && p.kind.noPrompt {
		s = weighted[r.IntN(len(weighted))]
	}
	c := p.enter(r, s.script, sure)
	if c == nil {
		return
	}
	p.note("session: %s", s.name)
	defer c.conn.Close()
	if err := s.run(c); err != nil {
		c.lost(s.name, err)
	}
}

// first reads the rest of the first screen, up to the prompt.
func (c *client) first() error {
	if c.p.kind.noPrompt {
		return nil
	}
	screen, err := c.untilPrompt()
	if err == nil && (!strings.Contains(screen, "help lists the commands") || !strings.Contains(screen, "by identical stacks")) {
		c.wrong(fmt.Errorf("the first screen is %.2000q", screen))
	}
	return err
}

// dialogue waits for each answer, and leaves in a random way.
func (c *client) dialogue() error {
	if err := c.first(); err != nil {
		return err
	}
	for range c.r.IntN(6) {
		line, check := c.p.pick(c.r)
		if err := c.send(line + "\n"); err != nil {
			return err
		}
		answer, err := c.untilPrompt()
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if err := check(answer); err != nil {
			c.wrong(err)
			return nil
		}
	}
	switch c.r.IntN(4) {
	case 0:
		return c.leave("exit\n")
	case 1:
		return c.leave("quit\r\n")
	case 2:
		return c.halfClose()
	}
	return nil // leaves without a word
}

// leave sends text, which ends the session, and waits for the end.
func (c *client) leave(text string) error {
	if err := c.send(text); err != nil {
		return err
	}
	_, err := c.untilEnd()
	return err
}

func (c *client) halfClose() error {
	if err := c.conn.CloseWrite(); err != nil {
		return err
	}
	_, err := c.untilEnd()
	return err
}

// allAtOnce behaves like echo ... | nc -N: it sends everything and closes its side.
// All lines must be answered.
func (c *client) allAtOnce() error {
	text := ""
	var lines []string
	var checks []func(string) error
	for range c.r.IntN(6) {
		line, check := c.p.pick(c.r)
		lines, checks = append(lines, line), append(checks, check)
		text += line + "\n"
		if c.p.kind.noPrompt {
			text += "mark\n"
		}
	}
	if err := cmp.Or(c.send(text), c.conn.CloseWrite()); err != nil {
		return err
	}
	all, err := c.untilEnd()
	if err != nil {
		return err
	}
	answers := strings.Split("\n"+all, "\n"+prompt)
	if c.p.kind.noPrompt { // without prompts, nothing separates the answers
		answers = strings.Split(prompt+mark+all, mark)
	}
	if len(answers) != len(checks)+2 { // the first screen comes first, and nothing comes after the last prompt
		if !c.p.isExcused() {
			c.wrong(fmt.Errorf("%q had %d prompts, not %d: %.4000q", lines, len(answers)-1, len(checks)+1, all))
		}
		return nil
	}
	for i, check := range checks {
		if err := check(strings.TrimSuffix(answers[i+1], "\n") + "\n"); err != nil {
			c.wrong(err)
			return nil
		}
	}
	return nil
}

const mark = "no command \"mark\"; help lists them\n"

// interrupts stops long commands, and other commands at any moment.
func (c *client) interrupts() error {
	if err := c.first(); err != nil {
		return err
	}
	for range 1 + c.r.IntN(3) {
		line := []string{"profile cpu -seconds 600 -o /dev/null", "trace -seconds 600 -o /dev/null", "stacks", "gc", "", "sta"}[c.r.IntN(6)]
		if len(line) != 3 {
			line += "\n"
		}
		if err := c.send(line); err != nil {
			return err
		}
		pause(c.r, 5*time.Millisecond)
		if err := c.send(string(rune(protocol.Interrupt))); err != nil {
			return err
		}
		if _, err := c.sync(); err != nil {
			return fmt.Errorf("after %q and an interrupt: %w", line, err)
		}
		c.p.tally.add("commands", 1)
	}
	return c.leave("exit\n")
}

// goes reads some bytes, perhaps sends a part of a line or a command, and
// disconnects.
func (c *client) goes() error {
	c.p.tally.add("disconnects", 1)
	most := c.r.IntN(4000)
	if c.r.IntN(8) == 0 || c.p.kind.noPrompt {
		most = 0
	}
	for len(c.buf) < most && !strings.HasSuffix(string(c.buf), "\n"+prompt) { // nothing comes after the prompt
		if err := c.read(most - len(c.buf)); err != nil {
			return err
		}
	}
	if c.r.IntN(2) == 0 {
		line, _ := c.p.pick(c.r)
		text := line + "\n" + line
		if strings.Contains(text, "made-") {
			text = "stacks\nstacks"
		}
		if err := c.send(text[:c.r.IntN(len(text)+1)]); err != nil {
			return err
		}
	}
	return nil
}

// readsSlowly asks for more than the socket can hold, and reads it in small pieces.
// Then it leaves before the end, or reads the rest at once.
func (c *client) readsSlowly() error {
	lines := strings.Repeat("stacks -go\nhelp\nmetrics\n", 30)
	if err := c.send(lines); err != nil {
		return err
	}
	for range c.r.IntN(60) {
		if err := c.read(1 + c.r.IntN(50)); err != nil {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	if c.r.IntN(2) == 0 {
		return nil
	}
	_, err := c.sync()
	return err
}

// garbage sends bytes without a meaning, and then a word that must be answered.
func (c *client) garbage() error {
	p := make([]byte, c.r.IntN(20_000))
	for i := range p {
		p[i] = byte(c.r.Uint32())
	}
	return c.sendAndSync(string(p)+"\n", nil)
}

// sendAndSync sends and reads at the same time. The program stops reading while the
// client does not read the answers.
func (c *client) sendAndSync(text string, check func(answers string) error) error {
	sent := make(chan error, 1)
	word := fmt.Sprintf("end%d", c.r.Uint64())
	go func() { sent <- c.send(text + word + "\n") }()
	answers, err := c.until(fmt.Sprintf("no command %q; help lists them\n", word))
	if sendErr := <-sent; sendErr != nil || err != nil {
		return errors.Join(err, sendErr)
	}
	c.p.tally.add("commands", 1)
	if check != nil {
		if err := check(answers); err != nil {
			c.wrong(err)
		}
	}
	return nil
}

// longLines sends lines of the greatest length, and of one byte more.
func (c *client) longLines() error {
	const most = 64 << 10
	text := strings.Repeat("x", most) + "\n" + strings.Repeat("y", most+1+c.r.IntN(most)) + "\n"
	return c.sendAndSync(text, func(answers string) error {
		if !strings.Contains(answers, `no command "xxx`) || !strings.Contains(answers, "the line has more than 65536 bytes and was not run") {
			return fmt.Errorf("long lines were answered %.1000q", answers)
		}
		return nil
	})
}

// floods sends more lines than the program reads ahead. Each must be answered.
func (c *client) floods() error {
	n := 1000 + c.r.IntN(2000)
	return c.sendAndSync(strings.Repeat("flood\n", n), func(answers string) error {
		if got := strings.Count(answers, `no command "flood"`); got != n {
			return fmt.Errorf("%d lines had %d answers", n, got)
		}
		return nil
	})
}

// standardError redirects the standard error of the program to this session for a
// while. Lines of the log may then come anywhere between the answers.
func (c *client) standardError() error {
	if err := c.first(); err != nil {
		return err
	}
	if err := c.send("stderr on\n"); err != nil {
		return err
	}
	if _, err := c.sync(); err != nil {
		return err
	}
	if c.r.IntN(2) == 0 {
		if err := c.send("stderr off\n"); err != nil {
			return err
		}
		if _, err := c.sync(); err != nil {
			return err
		}
	}
	c.p.tally.add("commands", 1)
	return nil
}

// asScript sends one command and reads a framed answer.
func (c *client) asScript() error {
	line, check := c.p.pick(c.r)
	if err := cmp.Or(c.send(line+"\n"), c.conn.CloseWrite()); err != nil {
		return err
	}
	answer, status, err := c.frames()
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	if err := check(answer); err != nil {
		c.wrong(fmt.Errorf("with status %s: %w", status, err))
	} else if status != "0" && status != "1" && status != "2" {
		c.wrong(fmt.Errorf("%s ended with status %q: %.500q", line, status, answer))
	}
	return nil
}

func (c *client) asInterruptedScript() error {
	if err := c.send("profile cpu -seconds 600\n"); err != nil {
		return err
	}
	pause(c.r, 5*time.Millisecond)
	if err := c.send(string(rune(protocol.Interrupt))); err != nil && !isReset(err) {
		return err
	}
	answer, status, err := c.frames()
	// The status is 1 if another session uses the profiler.
	if err == nil && status != "130" && status != "1" {
		c.wrong(fmt.Errorf("an interrupted profile ended with status %q: %.500q", status, answer))
	}
	return err
}

// frames reads all frames, and returns their text and the status.
func (c *client) frames() (text, status string, err error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", "", err
	}
	in := protocol.NewReader(io.MultiReader(strings.NewReader(string(c.buf)), c.conn))
	for {
		kind, payload, err := in.Next()
		switch {
		case err != nil:
			return "", "", err
		case kind == protocol.End:
			return text, string(payload), nil
		}
		text += string(payload)
	}
}
