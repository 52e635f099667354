from mmkeras.demo.run import run as run
