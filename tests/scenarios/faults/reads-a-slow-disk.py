"""A program that waits for a disk: `reads-a-slow-disk.py serve PORT` reads a block before each HTTP answer, `... read` reads on and on.

The disk is a loop device whose own disk its cgroup may read from five times a second. All of it goes when the program ends.
"""
import mmap, os, socket, subprocess, sys, tempfile

BLOCK, BLOCKS, READS_A_SECOND = 4096, 2048, 5
V1 = "/sys/fs/cgroup/blkio"


def cgroup(device):
    """One whose reads from a device are slow, in the hierarchy that this machine has for disks."""
    name = f"slow-disk-{os.getpid()}"
    if os.path.isdir(V1):
        group, limit, text = f"{V1}/{name}", "blkio.throttle.read_iops_device", f"{device} {READS_A_SECOND}"
    else:
        group, limit, text = f"/sys/fs/cgroup/{name}", "io.max", f"{device} riops={READS_A_SECOND}"
        write("/sys/fs/cgroup/cgroup.subtree_control", "+io")
    os.mkdir(group)
    write(f"{group}/{limit}", text)
    return group


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def disk():
    """A loop device that is gone when nobody has it open any more, and the number of the disk below it."""
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        file.write(b"x" * BLOCK * BLOCKS)
        file.flush()
        os.fsync(file.fileno())
        made = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", file.name], check=True, capture_output=True, text=True)
        path, below = made.stdout.strip(), os.fstat(file.fileno()).st_dev
        device = os.open(path, os.O_RDONLY | os.O_DIRECT)
        subprocess.run(["losetup", "--detach", path], check=True)
    return device, f"{os.major(below)}:{os.minor(below)}"


def reader(device):
    block, at = mmap.mmap(-1, BLOCK), iter(range(BLOCKS))
    return lambda: os.preadv(device, [block], next(at) * BLOCK)


def serve(read, port):
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64) as listener:
        while True:
            stream, _ = listener.accept()
            with stream:
                if stream.recv(65536):
                    read()
                    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")


def main():
    device, below = disk()
    group = cgroup(below)
    removed_with_us(group)
    write(f"{group}/cgroup.procs", str(os.getpid()))
    read = reader(device)
    if sys.argv[1] == "serve":
        serve(read, int(sys.argv[2]))
    print("ready", flush=True)
    while True:
        read()


def removed_with_us(group):
    """However we end: another process, in no namespace of the lab, hears of it by a pipe that nobody writes to any more."""
    heard, _ = os.pipe()
    tries = 'cat; for _ in $(seq 100); do rmdir "$0" && exit; sleep 0.1; done'
    command = ["unshare", "--net", "sh", "-c", tries, group]
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdin=heard, stdout=quiet, stderr=quiet, start_new_session=True)
    os.close(heard)


main()
