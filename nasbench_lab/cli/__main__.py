from nasbench_lab.cli import main

main()
