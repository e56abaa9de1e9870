package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// broker is a millrace that the demo started for itself, with data that goes away with it.
type broker struct {
	address string
	command *exec.Cmd
	exited  chan error
	folder  string
}

const (
	startDeadline = 30 * time.Second
	stopDeadline  = 30 * time.Second
)

func startBroker(ctx context.Context, millrace string) (*broker, error) {
	if millrace == "" {
		return nil, errors.New("say --bootstrap HOST:PORT, or --millrace BINARY to start one")
	}
	folder, err := os.MkdirTemp("", "millrace-demo-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://%[1]s,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
offsets.topic.replication.factor=1
log.dirs=%[3]s
`, address, ports[1], filepath.Join(folder, "data"))
	file := filepath.Join(folder, "server.properties")
	if err := os.WriteFile(file, []byte(properties), 0o600); err != nil {
		return nil, err
	}
	id, err := exec.CommandContext(ctx, millrace, "storage", "random-uuid").Output()
	if err != nil {
		return nil, fmt.Errorf("%s storage random-uuid: %w", millrace, err)
	}
	format := exec.CommandContext(ctx, millrace, "storage", "format",
		"--cluster-id", string(trimmed(id)), "--config", file)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", format, err, out)
	}
	// The broker outlives the context, in a process group of its own: an interrupted demo stops it.
	command := exec.Command(millrace, "start", file)
	log, err := os.Create(filepath.Join(folder, "millrace.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	b := &broker{address: address, command: command, exited: make(chan error, 1), folder: folder}
	go func() { b.exited <- command.Wait() }()
	if err := b.awaitListening(ctx); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, errors.Join(err, b.stop(), fmt.Errorf("the broker said:\n%s", said))
	}
	return b, nil
}

func (b *broker) awaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	for {
		connection, err := net.DialTimeout("tcp", b.address, time.Second)
		if err == nil {
			return connection.Close()
		}
		select {
		case err := <-b.exited:
			b.exited <- err
			return fmt.Errorf("the broker ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the broker does not listen on %s", b.address)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the broker cleanly and removes its data.
func (b *broker) stop() error {
	defer os.RemoveAll(b.folder)
	if err := b.command.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	select {
	case err := <-b.exited:
		if err != nil {
			return fmt.Errorf("the broker ended: %w", err)
		}
		return nil
	case <-time.After(stopDeadline):
		return errors.Join(errors.New("the broker did not stop"), b.command.Process.Kill())
	}
}

// freePorts asks the system for ports that nobody listens on now.
func freePorts(count int) ([]int, error) {
	ports := make([]int, 0, count)
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func trimmed(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}
