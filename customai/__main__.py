from customai.cli import main

main()
