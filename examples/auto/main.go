// Command auto is a program whose only line for the manhole is an import. The
// environment variable ONESHOT decides whether the program has a manhole:
//
//	ONESHOT='oneshot_on="USR2"' go run ./examples/auto
package main

import (
	"fmt"
	"os"
	"time"

	_ "github.com/gomanhole/oneshot/auto"
)

func main() {
	fmt.Printf("pid %d counts the seconds\n", os.Getpid())
	for n := 1; ; n++ {
		time.Sleep(time.Second)
		fmt.Println(n)
	}
}
