package main

// Goroutines that never stop by themselves. Each writes to a variable of its own.
var spun [5]int

func tight() {
	for {
		spun[0]++
	}
}

func calls() {
	for {
		caller()
	}
}

//go:noinline
func caller() {
	for i := 0; i < 1000; i++ {
		callee(i)
	}
}

//go:noinline
func callee(i int) { spun[1] += i }

func recursion() {
	for {
		spun[2] += recurse(20)
	}
}

//go:noinline
func recurse(n int) int {
	if n == 0 {
		return 1
	}
	return recurse(n-1) + recurse(n-1)
}

// throughPointer leaves a call on its stack, and then calls through a pointer.
func throughPointer() {
	narrow()
	endless()
}

//go:noinline
func narrow() { callee(0) }

var endless = wide

// wide has room in its frame that it does not write to.
func wide() {
	for {
		if spun[4]++; spun[4] < 0 {
			var room [100]int
			fill(&room)
		}
	}
}

//go:noinline
func fill(room *[100]int) { room[0] = spun[4] }

// throughInterface is inlined into the function that the compiler makes for its go
// statement. From Go 1.26 on, its own instructions do not say that they are inlined.
func throughInterface(m multiplier) {
	for n := 1; ; {
		n = m.times(n)
	}
}

type multiplier interface{ times(int) int }

type triple struct{}

//go:noinline
func (*triple) times(n int) int { return n * 3 }
