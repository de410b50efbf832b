"""SX1261, SX1262, SX1268: registers of the data sheet. Opcodes: commands.py, start.py; interrupts: modem.py."""

IQ_POLARITY    = 0x0736  # erratum 15.4
SYNC_WORD      = 0x0740
RX_CRC_PRESENT = 0x076B  # bit 4: the header announced a CRC
TX_MODULATION  = 0x0889  # erratum 15.1
RX_GAIN        = 0x08AC
RX_PATCH       = 0x08B5  # undocumented: bit 0 makes the receiver more sensitive
TX_CLAMP       = 0x08D8  # erratum 15.2
OCP            = 0x08E7  # over-current protection, 2.5 mA a step
RTC_CONTROL    = 0x0902  # erratum 15.3
EVENT_MASK     = 0x0944  # erratum 15.3

GAIN_BOOSTED = 0x96
STDBY_RC     = 0
STDBY_XOSC   = 1
