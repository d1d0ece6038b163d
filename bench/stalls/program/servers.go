//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/net/http2"
)

var kept struct {
	sync.Mutex
	conns []net.Conn
}

// keep keeps a connection open and from being collected.
func keep(conn net.Conn) {
	kept.Lock()
	defer kept.Unlock()
	kept.conns = append(kept.conns, conn)
}

// listen accepts connections, has each of them greeted, and never answers after that. It
// returns the address. No goroutine waits for what a client sends, unless greet does.
func listen(greet func(conn net.Conn) error) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			keep(conn)
			if greet != nil {
				go func() {
					// A client may have opened more connections than it needs, and close some.
					if err := greet(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
						log.Fatal("a server: ", err)
					}
				}()
			}
		}
	}()
	return listener.Addr().String()
}

// silent starts a server that never says anything.
func silent() string { return listen(nil) }

// http2Server answers the settings of HTTP/2, and no request.
func http2Server() string {
	return listen(func(conn net.Conn) error {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return err
		}
		framer := http2.NewFramer(conn, conn)
		if err := framer.WriteSettings(); err != nil {
			return err
		}
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return err
			}
			if s, ok := frame.(*http2.SettingsFrame); ok && !s.IsAck() {
				return framer.WriteSettingsAck()
			}
		}
	})
}

// postgres lets each client in, and answers no query.
func postgres() string {
	return listen(func(conn net.Conn) error {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:]))-4); err != nil {
			return err
		}
		_, err := io.WriteString(conn, "R\x00\x00\x00\x08\x00\x00\x00\x00"+ // AuthenticationOk
			postgresParameter("server_version", "17.0")+
			postgresParameter("client_encoding", "UTF8")+
			postgresParameter("standard_conforming_strings", "on")+
			"K\x00\x00\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x02"+ // BackendKeyData
			"Z\x00\x00\x00\x05I") // ReadyForQuery
		return err
	})
}

func postgresParameter(name, value string) string {
	text := name + "\x00" + value + "\x00"
	return "S" + string(binary.BigEndian.AppendUint32(nil, uint32(len(text)+4))) + text
}

// mysqlServer lets each client in, and answers no query.
func mysqlServer() string {
	return listen(func(conn net.Conn) error {
		greeting := "\x0a8.4.0\x00" + // the protocol and the server
			"\x01\x00\x00\x00" + "12345678\x00" + // the connection; the first part of the challenge
			"\x09\xa2" + "\x21" + "\x02\x00" + "\x08\x00" + // capabilities, character set, status, more capabilities
			"\x15" + strings.Repeat("\x00", 10) + "123456789012\x00" + "mysql_native_password\x00"
		if _, err := io.WriteString(conn, mysqlPacket(0, greeting)); err != nil {
			return err
		}
		var header [4]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return err
		}
		size := int64(header[0]) | int64(header[1])<<8 | int64(header[2])<<16
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return err
		}
		_, err := io.WriteString(conn, mysqlPacket(header[3]+1, "\x00\x00\x00\x02\x00\x00\x00"))
		return err
	})
}

func mysqlPacket(sequence byte, text string) string {
	return string([]byte{byte(len(text)), byte(len(text) >> 8), byte(len(text) >> 16), sequence}) + text
}

// redisServer refuses each command that clients send when they connect, as an old server
// does, and answers no other one.
func redisServer() string {
	return listen(func(conn net.Conn) error {
		in := bufio.NewReader(conn)
		for {
			var words, size int
			if _, err := fmt.Fscanf(in, "*%d\r\n", &words); err != nil {
				return err
			}
			var command []string
			for range words {
				if _, err := fmt.Fscanf(in, "$%d\r\n", &size); err != nil {
					return err
				}
				word := make([]byte, size+2)
				if _, err := io.ReadFull(in, word); err != nil {
					return err
				}
				command = append(command, string(word[:size]))
			}
			if name := strings.ToUpper(command[0]); name != "HELLO" && name != "CLIENT" {
				return nil
			}
			if _, err := io.WriteString(conn, "-ERR unknown command\r\n"); err != nil {
				return err
			}
		}
	})
}

// natsServer lets each client in. It delivers one message to each subscription, and
// answers no request.
func natsServer() string {
	return listen(func(conn net.Conn) error {
		if _, err := io.WriteString(conn, `INFO {"server_id":"s","version":"2.12.0","proto":1,"max_payload":1048576,"headers":true}`+"\r\n"); err != nil {
			return err
		}
		pings := 0
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			words := strings.Fields(lines.Text())
			switch {
			case len(words) > 0 && words[0] == "PING":
				if pings++; pings > 1 { // the first one belongs to the handshake
					continue
				}
				if _, err := io.WriteString(conn, "PONG\r\n"); err != nil {
					return err
				}
			case len(words) > 2 && words[0] == "SUB" && !strings.HasPrefix(words[1], "_INBOX"):
				if _, err := fmt.Fprintf(conn, "MSG %s %s 2\r\nhi\r\n", words[1], words[len(words)-1]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
